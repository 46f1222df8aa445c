import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { REPLICAS_MAX } from '../api/atomic-cluster.ts';
import { durationMs } from '../api/duration.ts';
import type { ConnectionFlags } from './connection.ts';
import { explain, type ExplainFlags } from './explain-command.ts';
import { endOf, UsageError } from './failure.ts';
import { showPlan, type PlanFlags } from './plan-command.ts';
import type { PluginPorts } from './ports.ts';
import { showStatus, type StatusFlags } from './status-command.ts';
import { setSwitch, SWITCHES, type SwitchName } from './switch-commands.ts';
import type { Terminal } from './terminal.ts';
import { transferLeader } from './transfer-command.ts';

/** What the commands are given by main, or by a test. */
export type Surroundings = {
  readonly terminal: Terminal;
  /** Called once, by the command that runs. */
  readonly connect: (flags: ConnectionFlags) => PluginPorts;
  readonly version: string;
};

const EXIT_CODES = `
Exit codes: 0 done, 1 failed, 2 wrong arguments.`;

/** Runs `kubectl atomic` with these arguments and sets the exit code. */
export async function runPlugin(
  argv: readonly string[],
  surroundings: Surroundings,
): Promise<void> {
  const { terminal } = surroundings;
  try {
    await programOf(surroundings).parseAsync([...argv], { from: 'user' });
  } catch (error) {
    if (error instanceof CommanderError) {
      if (error.exitCode === 0) return;
      terminal.warn(usageText(error));
      terminal.setExitCode(2);
      return;
    }
    const end = endOf(error);
    if (end === undefined) throw error;
    terminal.warn(`kubectl atomic: ${end.message}`);
    terminal.setExitCode(end.exitCode);
  }
}

function usageText({ code, message }: CommanderError): string {
  if (code === 'commander.help') return 'kubectl atomic: which command? See --help';
  return `kubectl atomic: ${message.replace(/^error: /, '').replace(/\.$/, '')}; see --help`;
}

function programOf(surroundings: Surroundings): Command {
  const { terminal, version } = surroundings;
  const program = new Command('kubectl atomic')
    .usage('[flags] COMMAND')
    .description('Shows and explains AtomicClusters, and tells what the operator would do.')
    .option('--context <name>', 'context of the kubeconfig')
    .option('--kubeconfig <file>', 'kubeconfig; default: KUBECONFIG, or ~/.kube/config')
    .option('-n, --namespace <name>', "namespace; default: the context's")
    .configureHelp({ showGlobalOptions: true })
    .addHelpText('after', EXIT_CODES);
  program.addCommand(statusCommand(surroundings));
  program.addCommand(explainCommand(surroundings));
  program.addCommand(planCommand(surroundings));
  program.addCommand(transferCommand(surroundings));
  for (const name of Object.keys(SWITCHES) as SwitchName[]) {
    program.addCommand(switchCommand(name, surroundings));
  }
  program.addCommand(
    new Command('version').description('Print the version of this program.').action(() => {
      terminal.print(version);
    }),
  );
  for (const command of [program, ...program.commands]) {
    command.exitOverride().configureHelp({ showGlobalOptions: true });
    command.configureOutput({
      writeOut: (text) => {
        terminal.print(text.trimEnd());
      },
      writeErr: () => undefined,
    });
  }
  return program;
}

/** What a command works with, once its flags are read. */
function toolsOf(command: Command, { terminal, connect }: Surroundings) {
  return { terminal, ports: connect(command.optsWithGlobals<ConnectionFlags>()) };
}

function outputOption(): Option {
  return new Option('-o, --output <form>', 'text for people, or JSON')
    .choices(['text', 'json'])
    .default('text');
}

function statusCommand(surroundings: Surroundings): Command {
  const command = new Command('status')
    .argument('[NAME]', 'the one to show; default: all of the namespace')
    .option('-A, --all-namespaces', 'all of all namespaces, as a list')
    .option('-w, --watch', 'go on: drawn anew, or without a terminal what changes')
    .addOption(outputOption())
    .description('Show who leads, every member, what goes on, what is amiss.');
  return command.action((name: string | undefined) => {
    const flags = command.opts<StatusFlags>();
    if (name !== undefined && flags.allNamespaces === true) {
      throw new UsageError('a name and all namespaces: give one of NAME and -A');
    }
    return showStatus(name, flags, toolsOf(command, surroundings));
  });
}

function explainCommand(surroundings: Surroundings): Command {
  const command = new Command('explain')
    .argument('<NAME>')
    .addOption(outputOption())
    .description('Tell what a cluster waits for, since when, and what you can do.');
  return command.action((name: string) =>
    explain(name, command.opts<ExplainFlags>(), toolsOf(command, surroundings)),
  );
}

function planCommand(surroundings: Surroundings): Command {
  const command = new Command('plan')
    .argument('<NAME>')
    .option('--replicas <n>', 'what if spec.replicas were this', replicasOf)
    .option('--version <tag>', 'what if spec.version were this', versionOf)
    .addOption(outputOption())
    .description('Tell every step the operator would take; nothing is written.');
  return command.action((name: string) =>
    showPlan(name, command.opts<PlanFlags>(), toolsOf(command, surroundings)),
  );
}

function transferCommand(surroundings: Surroundings): Command {
  const command = new Command('transfer-leader')
    .argument('<NAME>')
    .requiredOption('--to <pod>', 'pod of the member that is to lead')
    .option('--timeout <duration>', 'how long to wait until it leads', timeoutOf, 10_000)
    .description('Hand leadership to another member.');
  return command.action((name: string) => {
    const { to, timeout } = command.opts<{ readonly to: string; readonly timeout: number }>();
    return transferLeader(name, { to, timeoutMs: timeout }, toolsOf(command, surroundings));
  });
}

function switchCommand(which: SwitchName, surroundings: Surroundings): Command {
  const command = new Command(which).argument('<NAME>').description(SWITCHES[which].description);
  return command.action((name: string) => setSwitch(which, name, toolsOf(command, surroundings)));
}

function replicasOf(text: string): number {
  const value = /^\d$/.test(text) ? Number(text) : 0;
  if (value >= 1 && value <= REPLICAS_MAX) return value;
  throw new InvalidArgumentError(`expected 1 to ${String(REPLICAS_MAX)}.`);
}

function versionOf(text: string): string {
  if (/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/.test(text)) return text;
  throw new InvalidArgumentError('expected the tag of an image.');
}

function timeoutOf(text: string): number {
  try {
    return durationMs(text);
  } catch {
    throw new InvalidArgumentError('expected a duration such as 30s.');
  }
}
