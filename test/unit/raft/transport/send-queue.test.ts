import { describe, expect, it } from '@jest/globals';
import { MonotonicMs } from '../../../../server/raft/core/ids.ts';
import type { Message } from '../../../../server/raft/core/message.ts';
import { SendQueue } from '../../../../server/raft/transport/send-queue.ts';
import { addressed, append, heartbeat, peerId } from '../../../support/transport-host.ts';

const A = peerId('127.0.0.1:21000');
const B = peerId('127.0.0.1:21001');
const LIMITS = { frameBytesMax: 1_000, bufferedBytesMax: 5_000, bufferedUrgentMax: 3 };

function label({ message }: { readonly message: Message }): string {
  if (message.type === 'appendRequest') return `append ${message.previous.index + 1}`;
  return message.type === 'heartbeatRequest' ? `heartbeat ${message.round}` : message.type;
}

function queueOf(messages: readonly Message[]): SendQueue {
  const queue = new SendQueue(LIMITS);
  messages.forEach((message, at) => queue.push(addressed(message), MonotonicMs(at)));
  return queue;
}

function frames(queue: SendQueue): string[][] {
  const all: string[][] = [];
  while (!queue.isEmpty) all.push(queue.takeFrame().map(label));
  return all;
}

describe('SendQueue', () => {
  it('gives all in order while it fits one frame', () => {
    const queue = queueOf([append(A, B, 1, 100), heartbeat(A, B, 1), append(A, B, 2, 100)]);
    expect(frames(queue)).toEqual([['append 1', 'heartbeat 1', 'append 2']]);
  });

  it('lets a heartbeat overtake appends that do not fit one frame', () => {
    const appends = [1, 2, 3, 4].map((index) => append(A, B, index, 500));
    expect(frames(queueOf([...appends, heartbeat(A, B, 1)]))).toEqual([
      ['heartbeat 1', 'append 1'],
      ['append 2'],
      ['append 3'],
      ['append 4'],
    ]);
  });

  it('sends a message larger than a frame alone', () => {
    const queue = queueOf([append(A, B, 1, 3_000), append(A, B, 2, 10)]);
    expect(frames(queue)).toEqual([['append 1'], ['append 2']]);
  });

  it('does not send a later append before an earlier one that waits', () => {
    const queue = queueOf([append(A, B, 1, 600), append(A, B, 2, 600), append(A, B, 3, 10)]);
    expect(frames(queue)).toEqual([['append 1'], ['append 2', 'append 3']]);
  });

  it('refuses appends above its bytes and still takes a heartbeat', () => {
    const queue = new SendQueue(LIMITS);
    const taken = [1, 2, 3].map((index) =>
      queue.push(addressed(append(A, B, index, 2_000)), MonotonicMs(0)),
    );
    expect(taken).toEqual([true, true, false]);
    expect(queue.push(addressed(heartbeat(A, B, 1)), MonotonicMs(0))).toBe(true);
    expect(frames(queue).flat()).toEqual(['heartbeat 1', 'append 1', 'append 2']);
  });

  it('has room again after frames were taken', () => {
    const queue = queueOf([append(A, B, 1, 2_000), append(A, B, 2, 2_000)]);
    queue.takeFrame();
    expect(queue.push(addressed(append(A, B, 3, 2_000)), MonotonicMs(0))).toBe(true);
  });

  it('drops the oldest heartbeat above its number', () => {
    const queue = queueOf([1, 2, 3, 4].map((round) => heartbeat(A, B, round)));
    expect(frames(queue)).toEqual([['heartbeat 2', 'heartbeat 3', 'heartbeat 4']]);
  });

  it('drops appends and what is too old when a connection broke', () => {
    const queue = queueOf([heartbeat(A, B, 1), append(A, B, 1, 10), heartbeat(A, B, 2)]);
    queue.dropStale(MonotonicMs(1));
    expect(frames(queue)).toEqual([['heartbeat 2']]);
  });
});
