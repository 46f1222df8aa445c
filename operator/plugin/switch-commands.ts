import { ATOMIC_CLUSTER } from '../api/atomic-cluster.ts';
import { clusterRight, findCluster } from './clusters.ts';
import type { PluginPorts } from './ports.ts';
import { withRight } from './rights.ts';
import type { Terminal } from './terminal.ts';

const FIELD_MANAGER = 'kubectl-atomic';

/** The commands that set one field of a spec, and what each means for the group. */
export const SWITCHES = {
  pause: {
    field: 'paused',
    value: true,
    done: 'paused',
    description: 'Let the operator only watch; the members go on.',
    then: 'the operator only watches; whatever was under way stays as it is',
  },
  resume: {
    field: 'paused',
    value: false,
    done: 'resumed',
    description: 'Let the operator work again.',
    then: 'the operator goes on',
  },
  hibernate: {
    field: 'hibernate',
    value: true,
    done: 'hibernating',
    description: 'Stop all pods; disks and membership are kept.',
    then: 'all pods end, and nothing is served until kubectl atomic wake',
  },
  wake: {
    field: 'hibernate',
    value: false,
    done: 'awake',
    description: 'Start all pods of a hibernating group again.',
    then: 'all members start at once',
  },
} as const;

export type SwitchName = keyof typeof SWITCHES;

/** Sets the field; says so when it was set already. */
export async function setSwitch(
  which: SwitchName,
  name: string,
  { ports, terminal }: { readonly ports: PluginPorts; readonly terminal: Terminal },
): Promise<void> {
  const { field, value, done, then } = SWITCHES[which];
  const { spec = {} } = await findCluster(name, ports);
  const object = `${ATOMIC_CLUSTER.kind.toLowerCase()}.${ATOMIC_CLUSTER.group}/${name}`;
  if ((spec[field] ?? false) === value) {
    terminal.print(`${object} unchanged (it is ${done})`);
    return;
  }
  const { namespace } = ports;
  const body = { spec: { [field]: value } };
  await withRight(clusterRight('patch', namespace), () =>
    ports.api.patch(ATOMIC_CLUSTER, { namespace, name }, { body, fieldManager: FIELD_MANAGER }),
  );
  const isStopped = field === 'hibernate' && spec.paused === true;
  const hint = isStopped ? 'but it is paused: nothing happens until kubectl atomic resume' : then;
  terminal.print(`${object} ${done}: ${hint}`);
}
