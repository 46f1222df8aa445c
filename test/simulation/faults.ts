import type { SimulatedNetwork, NetworkQuality } from './network.ts';
import type { Fault } from './fault-plan.ts';
import { SimulationRandom } from './random.ts';
import type { Scheduler } from './scheduler.ts';
import type { FaultKind } from './settings.ts';
import type { SimulatedOperator } from './simulated-operator.ts';
import type { SimulatedServer } from './simulated-server.ts';

/** What faults act upon. */
export type FaultTargets = {
  readonly scheduler: Scheduler;
  readonly network: SimulatedNetwork;
  readonly servers: readonly SimulatedServer[];
  readonly calm: NetworkQuality;
  readonly syncMs: number;
  readonly operator: SimulatedOperator;
  /** Damages the disk of a server that does not run; says whether it could. */
  readonly damage: (server: SimulatedServer, random: SimulationRandom) => boolean;
  /** Starts a server again after `delayMs`, unless it runs. */
  readonly restartAfter: (server: SimulatedServer, delayMs: number) => void;
};

/** Carries out one fault and undoes it after its time; says whether it could be. */
export function inject(fault: Fault, targets: FaultTargets): boolean {
  const random = new SimulationRandom(fault.seed, fault.kind);
  const leader = targets.servers.find((server) => server.node()?.node.isLeader() === true);
  const anyone = random.pick(targets.servers);
  const victim = random.chance(0.5) ? (leader ?? anyone) : anyone;
  if (victim === undefined) return false;
  const details: Details = { targets, random };
  if (isIn(['kill', 'powerLoss', 'pause'], fault))
    return injectProcessFault(fault, victim, targets);
  if (isIn(['partition', 'oneWayCut', 'reset'], fault)) return injectCut(fault, victim, details);
  if (isIn(['loss', 'duplicates', 'reordering', 'latency'], fault)) {
    return injectNoise(fault, targets, random);
  }
  if (isIn(['slowDisk', 'syncError', 'diskFull'], fault)) {
    return injectDiskFault(fault, victim, details);
  }
  if (isIn(['membership', 'diskLoss', 'damage'], fault)) {
    return injectMemberFault(fault, victim, details);
  }
  return injectRequest(fault, victim, { targets, leader });
}

function isIn(kinds: readonly FaultKind[], fault: Fault): boolean {
  return kinds.includes(fault.kind);
}

function injectRequest(
  fault: Fault,
  victim: SimulatedServer,
  {
    targets,
    leader,
  }: { readonly targets: FaultTargets; readonly leader: SimulatedServer | undefined },
): boolean {
  if (fault.kind === 'readonly') return injectReadonly(fault, victim, targets);
  if (fault.kind === 'snapshot') return request(() => victim.node()?.node.snapshot());
  return request(() => leader?.node()?.node.transferLeadershipTo('any'));
}

type Details = { readonly targets: FaultTargets; readonly random: SimulationRandom };

function injectProcessFault(fault: Fault, victim: SimulatedServer, targets: FaultTargets): boolean {
  const gate = victim.gate();
  if (gate === undefined || gate.isPaused()) return false;
  if (fault.kind === 'pause') {
    gate.pause();
    targets.scheduler.after(fault.durationMs, () => {
      gate.resume();
    });
    return true;
  }
  if (fault.kind === 'kill') victim.kill();
  else victim.losePower();
  targets.network.detach(victim.peer);
  targets.restartAfter(victim, fault.durationMs);
  return true;
}

function injectMemberFault(
  fault: Fault,
  victim: SimulatedServer,
  { targets, random }: Details,
): boolean {
  const { operator, network, damage, restartAfter } = targets;
  if (fault.kind === 'membership') return operator.change();
  if (fault.kind === 'diskLoss') return operator.loseDisk(victim);
  if (!operator.suspect(victim)) return false;
  victim.kill();
  network.detach(victim.peer);
  restartAfter(victim, fault.durationMs);
  return damage(victim, random);
}

function injectCut(fault: Fault, victim: SimulatedServer, { targets, random }: Details): boolean {
  const { network, servers, scheduler } = targets;
  const others = servers.filter((server) => server !== victim);
  const far = random.chance(0.5) ? others : others.filter(() => random.chance(0.5));
  if (far.length === 0) return false;
  if (fault.kind === 'reset') {
    for (const other of far) network.reset(victim.peer, other.peer);
    return true;
  }
  const directions = fault.kind === 'partition' ? [true, true] : [true, false];
  if (fault.kind === 'oneWayCut' && random.chance(0.5)) directions.reverse();
  const setCut = (cut: boolean): void => {
    for (const { peer } of far) {
      if (directions[0] === true) network.setCut(victim.peer, peer, cut);
      if (directions[1] === true) network.setCut(peer, victim.peer, cut);
    }
  };
  setCut(true);
  scheduler.after(fault.durationMs, () => {
    setCut(false);
  });
  return true;
}

function injectNoise(fault: Fault, targets: FaultTargets, random: SimulationRandom): boolean {
  const { network, calm, scheduler } = targets;
  const noise: Partial<NetworkQuality> =
    fault.kind === 'loss'
      ? { lossChance: random.between(0.01, 0.4) }
      : fault.kind === 'duplicates'
        ? { duplicateChance: random.between(0.01, 0.5) }
        : fault.kind === 'reordering'
          ? { reorderChance: random.between(0.01, 0.5) }
          : { latencyMs: random.between(5, 200), jitterMs: random.between(5, 300) };
  network.quality = { ...network.quality, ...noise };
  scheduler.after(fault.durationMs, () => {
    network.quality = calm;
  });
  return true;
}

function injectDiskFault(
  fault: Fault,
  victim: SimulatedServer,
  { targets, random }: Details,
): boolean {
  const { scheduler, syncMs } = targets;
  const { disk } = victim;
  switch (fault.kind) {
    case 'slowDisk':
      victim.speed.syncMs = random.between(20, 500);
      scheduler.after(fault.durationMs, () => {
        victim.speed.syncMs = syncMs;
      });
      return true;
    case 'diskFull':
      victim.diskIsFaulty = true;
      disk.capacityBytes = random.integer(0, 2_000_000);
      scheduler.after(fault.durationMs, () => {
        disk.capacityBytes = Number.MAX_SAFE_INTEGER;
      });
      return true;
    default:
      victim.failingSyncs = 1;
      return true;
  }
}

function injectReadonly(fault: Fault, victim: SimulatedServer, targets: FaultTargets): boolean {
  const node = victim.node();
  if (node === undefined) return false;
  targets.scheduler.after(fault.durationMs, () => {
    request(() => node.node.leaveReadonlyMode());
  });
  return request(() => node.node.enterReadonlyMode());
}

/** Asks for something that may well be refused. */
function request(ask: () => Promise<unknown> | undefined): boolean {
  const answer = ask();
  // A refusal is an expected outcome: the group goes on without it.
  answer?.catch(() => undefined);
  return answer !== undefined;
}
