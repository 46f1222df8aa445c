import type { Schedule } from './schedule.ts';
import { hashOf } from './kubernetes.ts';
import type { Disk } from './raft-group.ts';

type Fault = {
  readonly weight: number;
  readonly strike: (schedule: Schedule) => string | undefined;
};

const IMAGES = ['v1', 'v2', 'v3'];
/** Templates with which a server does not start, and with which it starts and never takes part. */
const BROKEN = 'broken';
const LAME = 'lame';

/** Faults, and what people do meanwhile. Each says what it did, or nothing when it could not. */
const FAULTS: readonly Fault[] = [
  { weight: 6, strike: crashPod },
  { weight: 4, strike: deletePod },
  { weight: 3, strike: crashNode },
  { weight: 3, strike: returnNodes },
  { weight: 1, strike: loseNode },
  { weight: 3, strike: loseDisk },
  { weight: 3, strike: freeze },
  { weight: 3, strike: thaw },
  { weight: 6, strike: scale },
  { weight: 4, strike: changeVersion },
  { weight: 1, strike: hibernate },
  { weight: 1, strike: pause },
  { weight: 4, strike: wipeStatus },
  { weight: 2, strike: orphanPods },
  { weight: 1, strike: deleteSet },
  { weight: 2, strike: scaleByHand },
  { weight: 1, strike: recreate },
  { weight: 3, strike: blind },
  { weight: 3, strike: enlarge },
  { weight: 1, strike: allowGrowth },
];
const WEIGHTS = FAULTS.reduce((sum, { weight }) => sum + weight, 0);

export function strikeOnce(schedule: Schedule): void {
  let at = schedule.random.integer(1, WEIGHTS);
  const fault = FAULTS.find(({ weight }) => (at -= weight) <= 0);
  const text = fault?.strike(schedule);
  if (text !== undefined) schedule.note(`  FAULT ${text}`);
}

/** Everything comes back that can. */
export function calmDown(schedule: Schedule): void {
  const { world, operators, random } = schedule;
  world.crashed.clear();
  world.frozen.clear();
  world.volumesMayGrow = true;
  for (const operator of operators) operator.blindTo.clear();
  const { cluster } = world.objects;
  if (cluster === undefined) world.objects = { ...world.objects, cluster: world.newCluster(3) };
  const { spec } = world.objects.cluster ?? {};
  if (spec === undefined) return;
  const isBad = world.brokenImages.has(spec.version ?? '');
  const version = random.chance(0.7) && isBad ? 'v4' : spec.version;
  const hibernate_ = spec.hibernate && random.chance(0.2);
  world.patchCluster({ spec: { ...spec, version, hibernate: hibernate_, paused: false } });
  schedule.note(`  CALM: version ${version ?? ''}`);
}

function crashPod({ world, random }: Schedule): string | undefined {
  const pod = random.pick(world.objects.pods);
  if (pod === undefined) return undefined;
  world.group.stop(pod.uid);
  return `pod ${String(pod.ordinal)} crashes`;
}

function deletePod({ world, random }: Schedule): string | undefined {
  const pod = random.pick(world.objects.pods);
  if (pod === undefined) return undefined;
  world.patchPod(pod.uid, { deleting: true });
  return `somebody deletes pod ${String(pod.ordinal)}`;
}

function crashNode({ world, random }: Schedule): string | undefined {
  const node = random.pick(world.objects.nodes);
  if (node === undefined || world.crashed.size > 0) return undefined;
  world.crashed.add(node);
  for (const pod of world.objects.pods) if (pod.node === node) world.group.stop(pod.uid);
  return `node ${node} crashes`;
}

function returnNodes({ world }: Schedule): string {
  world.crashed.clear();
  return 'nodes return';
}

function loseNode({ world, judge, random }: Schedule): string | undefined {
  const node = random.pick(world.objects.nodes);
  if (node === undefined) return undefined;
  const disks = world.disks.filter((disk) => disk.node === node);
  if (!judge.survivesLossOf(disks)) return undefined;
  world.crashed.delete(node);
  for (const pod of world.objects.pods) if (pod.node === node) world.group.stop(pod.uid);
  const nodes = [...world.objects.nodes.filter((one) => one !== node), world.name('n')];
  world.objects = { ...world.objects, nodes };
  return `node ${node} is gone for good`;
}

/** The volume comes back empty under the same name. */
function loseDisk({ world, judge, random }: Schedule): string | undefined {
  const claim = random.pick(world.objects.claims);
  if (claim?.disk === undefined || !judge.survivesLossOf([claim.disk])) return undefined;
  return emptyDisk({ world }, claim.ordinal, claim.disk);
}

/** As if the volume of a member were made anew. */
export function loseDiskOf(schedule: Schedule, ordinal: number): void {
  const disk = schedule.world.claim(ordinal)?.disk;
  if (disk !== undefined) schedule.note(`  FAULT ${emptyDisk(schedule, ordinal, disk)}`);
}

function emptyDisk({ world }: Pick<Schedule, 'world'>, ordinal: number, disk: Disk): string {
  const claim = world.claim(ordinal);
  disk.lost = true;
  if (claim !== undefined) world.patchClaim(claim.uid, { disk: world.newDisk(disk.node) });
  for (const pod of world.objects.pods) if (pod.ordinal === ordinal) world.group.stop(pod.uid);
  return `the disk of ${String(ordinal)} is lost`;
}

/** A majority of the disks goes at once. */
export function strikeDisaster(schedule: Schedule): void {
  const { world, judge } = schedule;
  // Nobody can tell a group that was lost before anybody had seen it from none.
  if (world.objects.claims.every(({ clusterId }) => clusterId === undefined)) return;
  const bound = [...world.group.voters()];
  judge.disaster = bound.length > 0;
  for (const [ordinal, incarnation] of bound.slice(0, Math.floor(bound.length / 2) + 1)) {
    const disk = world.diskOf(incarnation);
    if (disk !== undefined) schedule.note(`  FAULT ${emptyDisk(schedule, ordinal, disk)}`);
  }
}

function freeze({ world, random }: Schedule): string | undefined {
  const pod = random.pick(world.objects.pods);
  if (pod === undefined) return undefined;
  world.frozen.add(pod.uid);
  return `pod ${String(pod.ordinal)} freezes`;
}

function thaw({ world, operators }: Schedule): string {
  world.frozen.clear();
  for (const operator of operators) operator.blindTo.clear();
  return 'all thaw';
}

function blind({ world, operators, random }: Schedule): string | undefined {
  const pod = random.pick(world.objects.pods);
  if (pod === undefined) return undefined;
  random.pick(operators)?.blindTo.add(pod.uid);
  return `an operator cannot reach pod ${String(pod.ordinal)}`;
}

function scale({ world, random }: Schedule): string | undefined {
  const { spec } = world.objects.cluster ?? {};
  if (spec === undefined) return undefined;
  const replicas = random.integer(1, 5);
  world.patchCluster({ spec: { ...spec, replicas } });
  return `the user scales to ${String(replicas)}`;
}

function changeVersion({ world, random }: Schedule): string | undefined {
  const { spec } = world.objects.cluster ?? {};
  if (spec === undefined) return undefined;
  const version = random.chance(0.3) ? random.pick([BROKEN, LAME]) : random.pick(IMAGES);
  world.brokenImages.add(BROKEN).add(LAME);
  world.patchCluster({ spec: { ...spec, version } });
  return `the user wants version ${version ?? ''} (${hashOf(version ?? '')})`;
}

function enlarge({ world, random }: Schedule): string | undefined {
  const { spec } = world.objects.cluster ?? {};
  if (spec === undefined) return undefined;
  const size = `${String(Number.parseInt(spec.storage.size) + random.integer(1, 4))}Gi`;
  world.patchCluster({ spec: { ...spec, storage: { ...spec.storage, size } } });
  return `the user wants volumes of ${size}`;
}

function allowGrowth({ world }: Schedule): string {
  world.volumesMayGrow = !world.volumesMayGrow;
  return world.volumesMayGrow ? 'volumes may grow' : 'volumes may not grow';
}

function hibernate({ world }: Schedule): string | undefined {
  const { spec } = world.objects.cluster ?? {};
  if (spec === undefined) return undefined;
  world.patchCluster({ spec: { ...spec, hibernate: !spec.hibernate } });
  return spec.hibernate ? 'the user wakes it' : 'the user hibernates it';
}

function pause({ world }: Schedule): string | undefined {
  const { spec } = world.objects.cluster ?? {};
  if (spec === undefined) return undefined;
  world.patchCluster({ spec: { ...spec, paused: !spec.paused } });
  return spec.paused ? 'the user lets the operator go on' : 'the user pauses the operator';
}

function wipeStatus({ world }: Schedule): string {
  world.patchCluster({ status: {} });
  return 'status is wiped';
}

function orphanPods({ world }: Schedule): string {
  world.objects = { ...world.objects, set: undefined };
  return 'the StatefulSet is deleted, its pods stay';
}

function deleteSet({ world }: Schedule): string {
  world.endSet();
  return 'the StatefulSet is deleted with its pods';
}

function scaleByHand({ world, random }: Schedule): string {
  const replicas = random.integer(0, 6);
  world.patchSet({ replicas });
  return `somebody scales the StatefulSet to ${String(replicas)}`;
}

function recreate({ world, random }: Schedule): string | undefined {
  const { cluster } = world.objects;
  const replicas = random.integer(1, 5);
  const made = world.newCluster(replicas);
  const { clusterID } = cluster?.status ?? {};
  const adopted = random.chance(0.5) ? clusterID : undefined;
  world.objects = { ...world.objects, cluster: { ...made, adoptClusterId: adopted } };
  return `the cluster is deleted and made again with ${String(replicas)}, adopting ${adopted ?? 'nothing'}`;
}
