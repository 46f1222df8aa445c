import process from 'node:process';
import { Command, CommanderError } from 'commander';
import { adminCommand } from './commands/admin.ts';
import { argumentsOf } from './commands/arguments.ts';
import { benchCommand } from './commands/bench.ts';
import { countCommand } from './commands/count.ts';
import { addDataCommands } from './commands/data.ts';
import { statusCommand } from './commands/status.ts';
import { testCommand } from './commands/test.ts';
import { EXIT, EXIT_CODES_HELP, endOf } from './exit-code.ts';
import { processOutput } from './process-output.ts';
import type { Terminal } from './terminal.ts';

/** Commands that end with 255 on any failure, as their models in braft do. */
const BRAFT_COMMANDS: ReadonlySet<string> = new Set(['admin', 'test']);

/** Signals this close together count as one. */
const REPEATED_SIGNAL_MS = 1_000;

/** Runs `atomic` with these arguments and sets the exit code of the process. */
export async function runCommandLine(argv: readonly string[], version: string): Promise<void> {
  const terminal = processTerminal();
  const badInput = BRAFT_COMMANDS.has(argv[0] ?? '') ? EXIT.braftFailure : EXIT.badInput;
  try {
    await programOf(terminal, version).parseAsync(argumentsOf(argv), { from: 'user' });
  } catch (error) {
    if (error instanceof CommanderError) {
      if (error.exitCode !== 0) terminal.warn(explained(error));
      terminal.setExitCode(error.exitCode === 0 ? EXIT.done : badInput);
      return;
    }
    const { message, exitCode } = endOf(error);
    terminal.warn(`atomic: ${message}`);
    terminal.setExitCode(exitCode === EXIT.badInput ? badInput : exitCode);
  }
}

function programOf(terminal: Terminal, version: string): Command {
  const program = new Command('atomic')
    .description('Reads, changes and measures replicated counters, and administers their servers.')
    .version(version, '-V, --version', 'Print the version and exit.')
    .addHelpText('afterAll', EXIT_CODES_HELP)
    .addHelpText('afterAll', 'Flags may be written with hyphens or underscores, as -x=y or --x y.');
  addDataCommands(program, terminal);
  program.addCommand(countCommand(terminal));
  program.addCommand(benchCommand(terminal));
  program.addCommand(statusCommand(terminal));
  program.addCommand(adminCommand(terminal));
  program.addCommand(testCommand(terminal));
  return strict(program);
}

/** Errors are thrown and printed here, once, instead of ending the process somewhere inside. */
function strict(command: Command): Command {
  command.exitOverride().configureOutput({ writeErr: () => undefined });
  for (const child of command.commands) strict(child);
  return command;
}

function explained(error: CommanderError): string {
  if (error.code === 'commander.help') return 'atomic: which command? See --help';
  const sentence = error.message
    .replace(/^error: (command-)?/, '')
    .replace(/ is invalid( for argument '\w+')?\. /, ' is invalid$1: ')
    .replace(/\.$/, '');
  return `atomic: ${sentence}; see --help`;
}

function processTerminal(): Terminal {
  const { print, warn, unread } = processOutput();
  return {
    ...{ print, warn },
    stopSignal: () => {
      const controller = new AbortController();
      let stoppedAt = Infinity;
      const stop = (): void => {
        // One Ctrl-C may arrive twice, from the terminal and from npm; a later one means it.
        if (performance.now() - stoppedAt > REPEATED_SIGNAL_MS) process.exit(EXIT.interrupted);
        stoppedAt = Math.min(stoppedAt, performance.now());
        controller.abort();
      };
      process.on('SIGINT', stop);
      process.on('SIGTERM', stop);
      return AbortSignal.any([controller.signal, unread]);
    },
    setExitCode: (code) => {
      process.exitCode = code;
    },
  };
}
