import { Term, type PeerId } from '../core/ids.ts';
import { peersText } from '../core/peer-id.ts';
import type { RaftState } from '../core/state.ts';
import type { IdentityStorage } from '../storage/identity-storage.ts';
import { lineageAfterReset } from './lineage.ts';
import { isPrepared } from './planned-reset.ts';
import type { NodeEngine } from './node-engine.ts';

/**
 * Gives this node alone other voters (braft reset_peers). The new history and its voters are on disk
 * before the configuration changes: neither can the old members reach the new group, nor does a crash
 * leave a disk that belongs to the new history and obeys the old configuration.
 *
 * @throws RaftError as NodeApi.resetPeers says.
 */
export async function resetPeers<Context>(
  engine: NodeEngine<Context>,
  identity: IdentityStorage,
  voters: ReadonlySet<PeerId>,
): Promise<void> {
  const { state, requests, driver } = engine;
  const { lineage, joined, reset, prepared } = identity.current();
  if (prepared !== undefined) throw isPrepared(prepared.planHash);
  const term = Term(state.hardState.term + 1);
  let answered: Promise<unknown> = Promise.resolve();
  const submit = (): void => {
    const { ticket, promise } = requests.open<unknown>();
    answered = promise;
    driver.submit({ type: 'resetPeers', now: engine.now(), ticket, voters, term });
  };
  const resets = willReset(state, voters);
  if (resets) {
    const history = { lineage: lineageAfterReset(lineage, voters), joined: true };
    await engine.changeIdentity({ ...history, reset: { voters: [...voters], term } }, submit);
  } else {
    submit();
  }
  try {
    await answered;
  } catch (error) {
    // Refused after all: this disk still belongs to its old history.
    if (resets && engine.failure() === undefined) {
      await engine.changeIdentity({ lineage, joined, reset }, () => undefined);
    }
    throw error;
  }
}

/** Whether the core will take the new voters, as far as can be told before it is asked. */
function willReset({ role, configurations }: RaftState, voters: ReadonlySet<PeerId>): boolean {
  const { configuration } = configurations.latest();
  if (voters.size === 0 || (role.type === 'leader' && role.change !== undefined)) return false;
  const same = peersText(voters) === peersText(configuration.voters);
  return !same || configuration.outgoing !== undefined;
}
