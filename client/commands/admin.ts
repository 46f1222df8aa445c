import { Command } from 'commander';
import { CommandError, EXIT } from '../exit-code.ts';
import { MembershipClient, type MembershipChange } from '../membership-client.ts';
import { jsonOf, type Terminal } from '../terminal.ts';
import { confOption, wholeNumber, withSecretFlag } from './arguments.ts';
import { backupCommand } from './backup.ts';
import { restoreCommand } from './restore.ts';

type AdminFlags = {
  readonly group?: string;
  readonly conf?: string;
  readonly peer?: string;
  readonly newPeers?: string;
  readonly timeoutMs: number;
  readonly maxRetry: number;
  readonly mode?: string;
  readonly json?: boolean;
  readonly authSecretFile: string;
  readonly clusterId?: string;
  readonly incarnation?: string;
};

type FlagName = 'group' | 'conf' | 'peer' | 'newPeers' | 'mode' | 'clusterId' | 'incarnation';
type Required = Readonly<Record<FlagName, string>>;

/** One command: the flags that it cannot do without, and what it does with them. */
type AdminCommand = {
  readonly description: string;
  readonly needs: readonly FlagName[];
  /** What to print: nothing, a sentence, or an object. */
  readonly run: (client: MembershipClient, flags: Required) => Promise<Report>;
};

type Report = { readonly text?: string; readonly json: object };

const SILENT: Report = { json: { done: true } };

const changed = (group: string, change: MembershipChange): Report => ({
  text: `Configuration of replication group \`${group}' changed from ${change.oldPeers.join(',')} to ${change.newPeers.join(',')}`,
  json: change,
});

const COMMANDS: Readonly<Record<string, AdminCommand>> = {
  add_peer: {
    description: 'Add a voter; waits until it has caught up and the change is committed.',
    needs: ['group', 'peer', 'conf'],
    run: async (client, { group, peer }) => changed(group, await client.addPeer(peer)),
  },
  remove_peer: {
    description: 'Remove a voter.',
    needs: ['group', 'peer', 'conf'],
    run: async (client, { group, peer }) => changed(group, await client.removePeer(peer)),
  },
  change_peers: {
    description: 'Make --new_peers the voters, by joint consensus.',
    needs: ['group', 'conf', 'newPeers'],
    run: async (client, { group, newPeers }) => changed(group, await client.changePeers(newPeers)),
  },
  reset_peer: {
    description:
      'Give one member a new set of peers without asking the group. For a group that has lost its quorum: acknowledged writes that the member has not seen are lost.',
    needs: ['group', 'peer', 'newPeers'],
    run: async (client, { peer, newPeers }) => {
      await client.resetPeer(peer, newPeers);
      return SILENT;
    },
  },
  snapshot: {
    description: 'Take a snapshot at one member; waits until it is finished.',
    needs: ['group', 'peer'],
    run: async (client, { peer }) => {
      await client.snapshot(peer);
      return SILENT;
    },
  },
  transfer_leader: {
    description: 'Hand leadership to --peer; 0.0.0.0:0 lets the leader choose.',
    needs: ['group', 'peer', 'conf'],
    run: async (client, { peer }) => {
      await client.transferLeader(peer);
      return SILENT;
    },
  },
  get_leader: {
    description: 'Print the leader.',
    needs: ['group', 'conf'],
    run: async (client) => {
      const leader = await client.getLeader();
      return { text: leader, json: { leader } };
    },
  },
  list_peers: {
    description: 'Print the members, as the leader knows them.',
    needs: ['group', 'conf'],
    run: async (client) => {
      const list = await client.listPeers();
      const learners = list.learners.map((peer) => `${peer} learner`);
      const leaving = list.outgoingPeers
        .filter((peer) => !list.peers.includes(peer))
        .map((peer) => `${peer} leaving`);
      return { text: [...list.peers, ...leaving, ...learners].join('\n'), json: list };
    },
  },
  get_status: {
    description: 'Print what one member says of itself.',
    needs: ['group', 'peer'],
    run: async (client, { peer }) => {
      const status = await client.getStatus(peer);
      const lines = Object.entries(status).map(([name, value]) => `${name}: ${shown(value)}`);
      return { text: lines.join('\n'), json: status };
    },
  },
  add_learner: {
    description: 'Add a member that receives the log and has no vote.',
    needs: ['group', 'peer', 'conf'],
    run: async (client, { peer }) => {
      await client.addLearner(peer);
      return SILENT;
    },
  },
  remove_learner: {
    description: 'Remove a learner.',
    needs: ['group', 'peer', 'conf'],
    run: async (client, { peer }) => {
      await client.removeLearner(peer);
      return SILENT;
    },
  },
  promote_learner: {
    description: 'Make a learner a voter.',
    needs: ['group', 'peer', 'conf'],
    run: async (client, { peer }) => {
      await client.promoteLearner(peer);
      return SILENT;
    },
  },
  bootstrap: {
    description: 'Make a server with an empty disk the only voter of the new cluster --cluster_id.',
    needs: ['group', 'peer', 'clusterId'],
    run: async (client, { peer, clusterId }) => {
      const incarnation = await client.bootstrap(peer, clusterId);
      return { text: incarnation, json: { incarnation } };
    },
  },
  join_fresh: {
    description:
      'Let a removed server set its data aside (folder quarantine) and stop; started again, it has an empty disk and can be added.',
    needs: ['group', 'peer', 'incarnation'],
    run: async (client, { peer, incarnation }) => {
      await client.joinFresh(peer, incarnation);
      return SILENT;
    },
  },
  vote: {
    description: 'Make one member campaign now, in spite of a healthy leader.',
    needs: ['group', 'peer'],
    run: async (client, { peer }) => {
      await client.vote(peer);
      return SILENT;
    },
  },
  readonly: {
    description: 'Make one member refuse (--mode on) or accept again (--mode off) new log entries.',
    needs: ['group', 'peer', 'mode'],
    run: async (client, { peer, mode }) => {
      if (mode !== 'on' && mode !== 'off') {
        throw new CommandError('--mode: expected on or off', EXIT.braftFailure);
      }
      await client.setReadonly(peer, mode === 'on');
      return SILENT;
    },
  },
};

/** What only the commands that need it have. */
const FURTHER_FLAGS = {
  mode: ['--mode <on|off>', 'on or off'],
  clusterId: ['--cluster-id <id>', 'name of the new cluster, kept on its disks'],
  incarnation: ['--incarnation <id>', 'of the disk to set aside, as get_status prints it'],
} as const;

/** `atomic admin`: braft_cli's commands and flags, and more. */
export function adminCommand(terminal: Terminal): Command {
  const admin = new Command('admin').description(
    'Administer a group: braft_cli commands with its flags (--group --conf --peer --new_peers --timeout_ms --max_retry). Exit code 255 on failure.',
  );
  for (const [name, command] of Object.entries(COMMANDS)) {
    admin.addCommand(commandOf(name, command, terminal));
  }
  admin.addCommand(backupCommand(terminal));
  admin.addCommand(restoreCommand(terminal));
  return admin;
}

function commandOf(name: string, { description, needs, run }: AdminCommand, terminal: Terminal) {
  const command = new Command(name)
    .description(description)
    .option('--group <name>', 'name of the group')
    .addOption(confOption('peers of the group, comma separated'))
    .option('--peer <peer>', 'the member that the command is about')
    .option('--new-peers <peers>', 'peers, comma separated')
    .option('--timeout-ms <ms>', 'for each call; -1: no limit', wholeNumber(-1), -1)
    .option('--max-retry <n>', 'repeats after failures without effect', wholeNumber(0, 1_000), 3)
    .option('--json', 'print JSON');
  withSecretFlag(command);
  for (const [flag, [usage, text]] of Object.entries(FURTHER_FLAGS)) {
    if (needs.some((need) => need === flag)) command.option(usage, text);
  }
  if (name.includes('_')) command.alias(name.replaceAll('_', '-'));
  return command.action(async () => {
    const flags = command.opts<AdminFlags>();
    const required = requiredOf(name, needs, flags);
    const { group, timeoutMs, maxRetry, authSecretFile } = { ...flags, ...required };
    await using client = new MembershipClient({
      group,
      conf: required.conf,
      timeoutMs,
      maxRetry,
      authSecretFile,
    });
    const report = await explaining(name, () => run(client, required));
    if (flags.json === true) terminal.print(jsonOf(report.json));
    else if (report.text !== undefined) terminal.print(report.text);
  });
}

function requiredOf(name: string, needs: readonly FlagName[], flags: AdminFlags): Required {
  for (const flag of needs) {
    if ((flags[flag] ?? '') !== '') continue;
    const text = flag.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
    throw new CommandError(`${name} requires --${text}`, EXIT.braftFailure);
  }
  const { group = '', conf = '', peer = '', newPeers = '', mode = '' } = flags;
  const { clusterId = '', incarnation = '' } = flags;
  return { group, conf, peer, newPeers, mode, clusterId, incarnation };
}

async function explaining(name: string, run: () => Promise<Report>): Promise<Report> {
  try {
    return await run();
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    throw new CommandError(`Fail to ${name} : ${error.message}`, EXIT.braftFailure);
  }
}

function shown(value: unknown): string {
  return typeof value === 'string' || typeof value === 'number' ? String(value) : jsonOf(value);
}
