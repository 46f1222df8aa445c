import { Command, Option } from 'commander';
import { connect, type AtomicClient } from '../atomic-client.ts';
import { AtomicError } from '../atomic-error.ts';
import { EXIT } from '../exit-code.ts';
import { jsonOf, pauseFor, type Terminal } from '../terminal.ts';
import { int64, withGroupFlags, type GroupFlags } from './arguments.ts';

type TestFlags = GroupFlags & {
  readonly atomicOp: 'get' | 'set' | 'cas';
  readonly atomicId: bigint;
  readonly atomicVal: bigint;
  readonly atomicNewVal: bigint;
};

/** Pause after a failure that certainly changed nothing. */
const RETRY_PAUSE_MS = 200;

/** `atomic test`: braft's atomic_test, one operation with exit codes for scripts. */
export function testCommand(terminal: Terminal): Command {
  const command = withGroupFlags(new Command('test'), 3_000)
    .description(
      'One operation for test scripts (braft atomic_test): exit code 0 done, 110 timed out (a write may have happened), 5 the compare-exchange found another value, 255 wrong arguments. Other failures are repeated until one of these.',
    )
    .addOption(
      new Option('--atomic-op <op>', 'operation').choices(['get', 'set', 'cas']).default('get'),
    )
    .addOption(int64Option('--atomic-id <id>', 'the counter'))
    .addOption(int64Option('--atomic-val <value>', 'value to set, or to expect'))
    .addOption(int64Option('--atomic-new-val <value>', 'value that cas stores'));
  return command.action(async () => {
    const flags = command.opts<TestFlags>();
    const { conf: servers, group, timeoutMs } = flags;
    await using client = connect({ servers, group, timeoutMs });
    terminal.setExitCode(await runUntilDecided(client, flags, terminal));
  });
}

/** Help cannot print a bigint by itself. */
function int64Option(flags: string, description: string): Option {
  return new Option(flags, description).argParser(int64).default(0n, '0');
}

async function runUntilDecided(
  client: AtomicClient,
  flags: TestFlags,
  terminal: Terminal,
): Promise<number> {
  const stop = terminal.stopSignal();
  while (!stop.aborted) {
    try {
      return await runOnce(client, flags, terminal);
    } catch (error) {
      if (!(error instanceof AtomicError) || error.code === 'invalidArgument') throw error;
      terminal.warn(`atomic: ${error.message}`);
      if (error.code === 'timeout' || error.outcome === 'unknown') return EXIT.timedOut;
      if (error.code === 'refused') return EXIT.braftFailure;
      await pauseFor(RETRY_PAUSE_MS, stop);
    }
  }
  return EXIT.braftFailure;
}

async function runOnce(
  client: AtomicClient,
  flags: TestFlags,
  terminal: Terminal,
): Promise<number> {
  const { atomicOp, atomicId: id, atomicVal, atomicNewVal: newValue, json } = flags;
  const print = (result: object, text?: bigint): void => {
    if (json === true) terminal.print(jsonOf({ operation: atomicOp, id, ...result }));
    else if (text !== undefined) terminal.print(text.toString());
  };
  switch (atomicOp) {
    case 'get': {
      const value = await client.get(id);
      print({ value }, value);
      return EXIT.done;
    }
    case 'set':
      print({ oldValue: await client.exchange(id, atomicVal), newValue: atomicVal });
      return EXIT.done;
    case 'cas': {
      const values = { expectedValue: atomicVal, newValue };
      const result = await client.compareExchange(id, values);
      print(result);
      return result.exchanged ? EXIT.done : EXIT.mismatch;
    }
  }
}
