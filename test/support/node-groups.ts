import { afterEach } from '@jest/globals';
import { NodeGroup } from './node-group.ts';

type Options = ConstructorParameters<typeof NodeGroup>[1];

/** The groups of a suite: shut down after each of its tests. */
export function nodeGroups(): {
  /** A group without members yet. */
  readonly prepared: (voters: string, options?: Options) => NodeGroup;
  /** A group with every voter started. */
  readonly started: (voters: string, options?: Options) => Promise<NodeGroup>;
} {
  const groups: NodeGroup[] = [];
  afterEach(async () => {
    await Promise.all(groups.splice(0).map((group) => group.shutdown()));
  });
  const prepared = (voters: string, options: Options = {}): NodeGroup => {
    const group = new NodeGroup(voters, options);
    groups.push(group);
    return group;
  };
  const started = async (voters: string, options: Options = {}): Promise<NodeGroup> => {
    const group = prepared(voters, options);
    await group.startAll();
    return group;
  };
  return { prepared, started };
}
