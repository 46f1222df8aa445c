import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import {
  COMPARE_EXCHANGE,
  CommandError,
  EXCHANGE,
  decodeCommand,
  encodeBatch,
  encodeBraftCommand,
  encodeCheckpoint,
  encodeRegisterSession,
  encodeVerdict,
} from '../../../server/atomic/command.ts';
import { AtomicResponse } from '../../../proto/gen/example/atomic.ts';
import { writes } from '../../support/atomic-writes.ts';

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const bytes = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'hex'));

describe('braft commands', () => {
  it.each([
    [{ type: 'compareExchange', id: 5n, expectedValue: 0n, newValue: 9n }, '03080510001809'],
    [{ type: 'get', id: 5n }, '010805'],
    [{ type: 'compareExchange', id: 5n, expectedValue: 1n, newValue: 3n }, '03080510011803'],
    [{ type: 'exchange', id: 6n, value: 4n }, '0208061004'],
    [{ type: 'exchange', id: 0n, value: 0n }, '0208001000'],
  ] as const)('has the bytes of %p', (command, expected) => {
    expect(hex(encodeBraftCommand(command))).toBe(expected);
    expect(decodeCommand(bytes(expected))).toEqual(command);
  });

  it('writes required fields of a response when they are false or 0', () => {
    const response = { success: false, id: 5n, newValue: 0n, oldValue: 0n };
    expect(hex(AtomicResponse.encode(response).finish())).toBe('0800100518002000');
  });
});

describe('decodeCommand', () => {
  it.each([
    ['nothing', ''],
    ['the operation 0', '00'],
    ['an operation of the future', '14'],
    ['a text', '7465787400'],
    ['a get without id', '01'],
    ['an exchange without value', '020806'],
    ['a compare-exchange without new value', '0308051000'],
    ['a request that is cut off', '0108'],
    ['a batch without header', '1000'],
    ['a batch without its section', '1001000000'],
    ['a batch with trailing bytes', '100000000000'],
    ['a section with unknown flags', '10010000000000000002'],
    ['a section longer than the entry', '1001000000ffffffff00'],
    ['a checkpoint with trailing bytes', '1200'],
    ['a verdict that is cut off', '1300'],
    ['a registration that is cut off', '110000'],
  ])('refuses %s', (_, text) => {
    expect(() => decodeCommand(bytes(text))).toThrow(CommandError);
  });

  it('refuses a batch with a get, cut off anywhere or with a byte too many', () => {
    const data = encodeBatch([writes([['exchange', 1n, 2n]])]);
    expect(() => decodeCommand(data.with(10, 1))).toThrow(/unknown kind 1/);
    for (let end = 0; end < data.length; end++) {
      expect(() => decodeCommand(data.subarray(0, end))).toThrow(CommandError);
    }
    expect(() => decodeCommand(Buffer.concat([data, bytes('00')]))).toThrow(CommandError);
  });

  it('reads back what was encoded', () => {
    const limits = { sessionsMax: 7, answersMax: 2 ** 32 - 1 };
    expect(decodeCommand(encodeRegisterSession(limits))).toEqual({
      type: 'registerSession',
      limits,
    });
    expect(decodeCommand(encodeCheckpoint())).toEqual({ type: 'checkpoint' });
    expect(decodeCommand(encodeVerdict(2 ** 40 + 1, 2n ** 64n - 1n))).toEqual({
      type: 'verdict',
      index: 2 ** 40 + 1,
      hash: 2n ** 64n - 1n,
    });
  });

  it('has fixed bytes for a batch', () => {
    const writeId = { sessionId: 3, serial: 2, lowestUnanswered: 1 };
    const data = encodeBatch([
      writes([['exchange', 1n, 2n]]),
      { ...writes([['cas', -1n, 4n, 5n]]), writeId },
    ]);
    expect(hex(data)).toBe(
      '1002000000' +
        '0100000000' +
        '02' +
        '0100000000000000' +
        '0000000000000000' +
        '0200000000000000' +
        '0100000001' +
        '0300000000000000' +
        '0200000000000000' +
        '0100000000000000' +
        '03' +
        'ffffffffffffffff' +
        '0400000000000000' +
        '0500000000000000',
    );
  });

  it('finds the columns of every section wherever the data lies', () => {
    const operation = fc.tuple(
      fc.constantFrom('exchange' as const, 'cas' as const),
      fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
    );
    const section = fc.array(operation, { minLength: 1, maxLength: 5 });
    fc.assert(
      fc.property(fc.array(section, { maxLength: 4 }), fc.nat(9), (sections, shift) => {
        const encoded = encodeBatch(
          sections.map((ops) => writes(ops.map(([k, id]) => [k, id, id]))),
        );
        const data = Buffer.concat([Buffer.alloc(shift), encoded]).subarray(shift);
        const command = decodeCommand(data);
        const found = (command.type === 'batch' ? command.sections : []).map((one) =>
          Array.from({ length: one.count }, (_, at) => [
            one.view.getUint8(one.kindsAt + at),
            one.view.getBigInt64(one.idsAt + at * 8, true),
          ]),
        );
        const kindOf = { exchange: EXCHANGE, cas: COMPARE_EXCHANGE };
        expect(found).toEqual(sections.map((ops) => ops.map(([k, id]) => [kindOf[k], id])));
      }),
    );
  });
});
