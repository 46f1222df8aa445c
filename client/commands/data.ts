import { Argument, type Command } from 'commander';
import { connect, type AtomicClient } from '../atomic-client.ts';
import { EXIT } from '../exit-code.ts';
import { jsonOf, type Terminal } from '../terminal.ts';
import { int64, withGroupFlags, type GroupFlags } from './arguments.ts';

type DataFlags = GroupFlags & { readonly exactlyOnce?: boolean };

/** What one command does with its arguments: what it prints, in JSON and in plain text. */
type DataCommand = {
  readonly description: string;
  readonly arguments: readonly string[];
  readonly run: (
    client: AtomicClient,
    values: readonly bigint[],
  ) => Promise<{ readonly json: object; readonly text: bigint; readonly mismatch?: string }>;
};

const COMMANDS: Readonly<Record<string, DataCommand>> = {
  get: {
    description: 'Print the value of a counter; 0 if it was never written.',
    arguments: ['id'],
    run: async (client, [id = 0n]) => {
      const value = await client.get(id);
      return { json: { id, value }, text: value };
    },
  },
  exchange: {
    description: 'Store a value and print the one before.',
    arguments: ['id', 'value'],
    run: async (client, [id = 0n, newValue = 0n]) => {
      const oldValue = await client.exchange(id, newValue);
      return { json: { id, oldValue, newValue }, text: oldValue };
    },
  },
  cas: {
    description:
      'Store <new> if the value is <expected>, and print the value before. Exit code 5 if not.',
    arguments: ['id', 'expected', 'new'],
    run: async (client, [id = 0n, expectedValue = 0n, newValue = 0n]) => {
      const { exchanged, oldValue } = await client.compareExchange(id, { expectedValue, newValue });
      const json = { id, exchanged, oldValue, newValue: exchanged ? newValue : oldValue };
      if (exchanged) return { json, text: oldValue };
      const mismatch = `${id} holds ${oldValue}, not ${expectedValue}: nothing was changed`;
      return { json, text: oldValue, mismatch };
    },
  },
};

/** `atomic get`, `exchange` and `cas`: one operation each. */
export function addDataCommands(program: Command, terminal: Terminal): void {
  for (const [name, command] of Object.entries(COMMANDS))
    addCommand(program, terminal, { name, ...command });
}

function addCommand(
  program: Command,
  terminal: Terminal,
  data: DataCommand & { readonly name: string },
): void {
  const command = withGroupFlags(program.command(data.name), 1_000)
    .description(data.description)
    .option('--exactly-once', 'repeat a write safely if its outcome is unknown');
  for (const name of data.arguments) {
    command.addArgument(new Argument(`<${name}>`, 'a 64-bit integer').argParser(int64));
  }
  command.action(async () => {
    const { conf, group, timeoutMs, exactlyOnce = false, json } = command.opts<DataFlags>();
    await using client = connect({ servers: conf, group, timeoutMs, exactlyOnce });
    const values: unknown[] = command.processedArgs;
    const result = await data.run(client, values.filter(isBigint));
    terminal.print(json === true ? jsonOf(result.json) : result.text.toString());
    if (result.mismatch === undefined) return;
    terminal.warn(`atomic: ${result.mismatch}`);
    terminal.setExitCode(EXIT.mismatch);
  });
}

function isBigint(value: unknown): value is bigint {
  return typeof value === 'bigint';
}
