const JEST_NODE_OPTIONS = '--experimental-vm-modules --disable-warning=ExperimentalWarning';

/** What each npm script runs: a program, its fixed first arguments and what NODE_OPTIONS it needs. */
const TARGETS = {
  start: { program: 'node', args: ['scripts/start.ts'] },
  stop: { program: 'node', args: ['scripts/stop.ts'] },
  test: { program: 'jest', args: [] },
  verify: { program: 'node', args: ['scripts/verify.ts'] },
  fix: { program: 'node', args: ['scripts/fix.ts'] },
  generate: { program: 'node', args: ['scripts/generate.ts'] },
  build: { program: 'node', args: ['scripts/build.ts'] },
  'build:plugin': { program: 'node', args: ['scripts/build-plugin.ts'] },
  simulate: { program: 'node', args: ['test/simulation/main.ts'] },
  bench: { program: 'node', args: ['test/bench/main.ts'] },
  'bench:operator': { program: 'node', args: ['--expose-gc', 'test/bench/operator.ts'] },
  'test:cluster': { program: 'node', args: ['test/cluster/run.ts'] },
  cluster: { program: 'node', args: ['test/cluster/main.ts'] },
  atomic: { program: 'node', args: ['client/main.ts'] },
  'atomic-operator': { program: 'node', args: ['operator/main.ts'] },
  'atomic-server': { program: 'node', args: ['server/main.ts'] },
};

/** The command line of one target; `x` stands for any program in node_modules/.bin, or node. */
export function commandFor(target, rest) {
  const [first, ...others] = rest;
  if (target === 'x' && first !== undefined) return command({ program: first, args: [] }, others);
  const known = Object.hasOwn(TARGETS, target ?? '') ? TARGETS[target] : undefined;
  if (known !== undefined) return command(known, rest);
  const names = Object.keys(TARGETS).join(', ');
  throw new Error(
    `unknown target "${target ?? ''}": use one of ${names}, or x followed by a program`,
  );
}

function command({ program, args }, rest) {
  const nodeOptions = program === 'jest' ? JEST_NODE_OPTIONS : undefined;
  return { program, args: [...args, ...rest], nodeOptions };
}
