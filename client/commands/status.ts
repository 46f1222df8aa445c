import { Command } from 'commander';
import { EXIT } from '../exit-code.ts';
import { MembershipClient, type MemberStatus } from '../membership-client.ts';
import { MembershipError } from '../membership-error.ts';
import { jsonOf, type Terminal } from '../terminal.ts';
import { withGroupFlags, withSecretFlag, type GroupFlags } from './arguments.ts';
import { parsePeers } from '../../server/raft/core/peer-id.ts';

type StatusFlags = GroupFlags & { readonly authSecretFile: string };

type Row = { readonly peer: string; readonly status?: MemberStatus; readonly error?: string };

/** `atomic status`: what every member says of itself, in one table. */
export function statusCommand(terminal: Terminal): Command {
  const command = withSecretFlag(withGroupFlags(new Command('status'), 1_000)).description(
    'Print the state of every member, those included that --conf does not name. Exit code 3 if no leader is known.',
  );
  return command.action(async () => {
    const { conf, group, timeoutMs, json, authSecretFile } = command.opts<StatusFlags>();
    const options = { conf, group, timeoutMs, maxRetry: 0, authSecretFile };
    await using client = new MembershipClient(options);
    const rows = await Promise.all(
      (await membersOf(client, conf)).map((peer) => rowOf(client, peer)),
    );
    const leader = rows.find(({ status }) => status?.state === 'LEADER')?.peer;
    if (json === true) terminal.print(jsonOf({ group, leader: leader ?? null, members: rows }));
    else terminal.print(tableOf(rows));
    if (leader !== undefined) return;
    terminal.warn(`atomic: no member of group ${group} says that it leads`);
    terminal.setExitCode(EXIT.failed);
  });
}

/** The configured peers and those that the leader lists. */
async function membersOf(client: MembershipClient, conf: string): Promise<string[]> {
  const parsed = parsePeers(conf);
  const peers = new Set<string>(parsed.ok ? parsed.peers : []);
  try {
    const listed = await client.listPeers();
    for (const peer of [...listed.peers, ...listed.outgoingPeers, ...listed.learners]) {
      peers.add(peer);
    }
  } catch (error) {
    // Without a leader the table shows what the configured members say.
    if (!(error instanceof MembershipError)) throw error;
  }
  return [...peers];
}

async function rowOf(client: MembershipClient, peer: string): Promise<Row> {
  try {
    return { peer, status: await client.getStatus(peer) };
  } catch (error) {
    if (!(error instanceof MembershipError)) throw error;
    return { peer, error: error.message };
  }
}

const COLUMNS: readonly (readonly [string, (status: MemberStatus) => string | number])[] = [
  ['STATE', ({ state }) => state],
  ['TERM', ({ term }) => term],
  ['LEADER', ({ leaderId }) => leaderId],
  ['COMMITTED', ({ committedIndex }) => committedIndex],
  ['APPLIED', ({ knownAppliedIndex }) => knownAppliedIndex],
  ['LOG', ({ firstIndex, lastIndex }) => `${firstIndex}-${lastIndex}`],
  ['SNAPSHOT', ({ snapshotIndex }) => snapshotIndex],
  ['READONLY', ({ readonly }) => (readonly ? 'yes' : 'no')],
  ['VOTERS', ({ peers, outgoingPeers }) => voters(peers.length, outgoingPeers.length)],
];

function tableOf(rows: readonly Row[]): string {
  const lines = rows.map(({ peer, status, error }) =>
    status === undefined
      ? [peer, `UNREACHABLE: ${error ?? ''}`]
      : [peer, ...COLUMNS.map(([, cell]) => String(cell(status)))],
  );
  const table = [['PEER', ...COLUMNS.map(([name]) => name)], ...lines];
  const widths = table[0]?.map((_, column) =>
    // An unreachable member's row has two cells, the second of any length.
    Math.max(
      ...table.map((line) => (column > 0 && line.length === 2 ? 0 : (line[column] ?? '').length)),
    ),
  );
  return table
    .map((line) => line.map((cell, column) => cell.padEnd(widths?.[column] ?? 0)).join('  '))
    .map((line) => line.trimEnd())
    .join('\n');
}

function voters(now: number, outgoing: number): string {
  return outgoing === 0 ? String(now) : `${now} (leaving ${outgoing})`;
}
