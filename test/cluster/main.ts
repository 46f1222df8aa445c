import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { Command } from 'commander';
import { wholeNumber } from '../../client/commands/arguments.ts';
import { CONTROL_PLANE_NAMESPACE } from './bed/addresses.ts';
import { runningPrograms, startBed, stopBed } from './bed/bed.ts';
import { inNamespace } from './bed/network.ts';
import { ADMIN_KUBECONFIG } from './bed/paths.ts';

const print = (line: string): void => {
  process.stdout.write(`${line}\n`);
};

const program = new Command('npm run cluster --').description(
  'A real Kubernetes of several nodes on this machine, for tests: kubelets, containerd and pods in network namespaces of their own. Needs root.',
);

program
  .command('up')
  .description('Start it, with everything built that is missing.')
  .option('--nodes <n>', 'worker nodes', wholeNumber(0, 9), 3)
  .action(async ({ nodes }: { readonly nodes: number }) => {
    const start = performance.now();
    await startBed(nodes, print);
    const seconds = ((performance.now() - start) / 1_000).toFixed(1);
    print(
      `${String(nodes)} nodes are ready after ${seconds} s; try: npm run -s cluster:kubectl -- get nodes`,
    );
  });

program
  .command('down')
  .description('Stop it and remove its disks.')
  .action(async () => {
    await stopBed();
  });

for (const name of ['kubectl', 'helm']) {
  program
    .command(name)
    .description(`Run ${name} as its administrator.`)
    .allowUnknownOption()
    .helpOption(false)
    .argument('[arguments...]')
    .action(() => {
      // As typed: the parser would take away the `--` that kubectl exec needs.
      runAsAdministrator(name, process.argv.slice(process.argv.indexOf(name) + 1));
    });
}

function runAsAdministrator(name: string, args: readonly string[]): void {
  const programs = runningPrograms();
  if (programs === undefined)
    throw new Error('no test cluster runs; start one: npm run cluster:up');
  const inside = inNamespace(CONTROL_PLANE_NAMESPACE, [join(programs, name), ...args]);
  const [command = '', ...rest] = inside;
  const env = { ...process.env, KUBECONFIG: ADMIN_KUBECONFIG };
  process.exitCode = spawnSync(command, rest, { stdio: 'inherit', env }).status ?? 1;
}

await program.parseAsync().catch((error: unknown) => {
  process.stderr.write(`cluster: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
});
