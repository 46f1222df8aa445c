import { status, type ServerUnaryCall, type sendUnaryData } from '@grpc/grpc-js';
import type {
  AtomicResponse,
  AtomicServiceServer,
  CompareExchangeRequest,
  ExchangeRequest,
  GetRequest,
} from '../../proto/gen/example/atomic.ts';
import { deadlineOf } from './service-call.ts';
import { grpcErrorOf, invalid, type Failure } from './service-failure.ts';
import type { ServedGroups } from './service-groups.ts';
import { UnaryOperations, type UnaryResult } from './service-unary.ts';

/** Failures that braft's clients understand as "ask the leader". */
const REDIRECTS: ReadonlySet<status> = new Set([status.FAILED_PRECONDITION, status.UNAVAILABLE]);

/**
 * The handlers of example.AtomicService, as braft's example answers: required fields are always
 * written, and a reply without old_value is a redirect. Unlike braft's, a redirect is only given
 * when nothing was proposed; an unknown outcome is a gRPC error.
 */
export function createBraftService(groups: ServedGroups): AtomicServiceServer {
  return {
    get: (call: ServerUnaryCall<GetRequest, AtomicResponse>, done) => {
      const { id } = call.request;
      if (id === undefined) {
        refuse(done, 'id');
        return;
      }
      groups.serve(call, done, (core) => {
        const options = { deadline: deadlineOf(call, core), consistency: 'linearizable' } as const;
        answer(new UnaryOperations(core).get(id, options), done, ({ oldValue }) => {
          return { success: true, id, oldValue, newValue: oldValue };
        });
      });
    },
    exchange: (call: ServerUnaryCall<ExchangeRequest, AtomicResponse>, done) => {
      const { id, value } = call.request;
      if (id === undefined || value === undefined) {
        refuse(done, 'id and value');
        return;
      }
      groups.serve(call, done, (core) => {
        const options = { deadline: deadlineOf(call, core) };
        answer(new UnaryOperations(core).exchange(id, value, options), done, ({ oldValue }) => {
          return { success: true, id, oldValue, newValue: value };
        });
      });
    },
    compareExchange: (call: ServerUnaryCall<CompareExchangeRequest, AtomicResponse>, done) => {
      const { id, expectedValue, newValue } = call.request;
      if (id === undefined || expectedValue === undefined || newValue === undefined) {
        refuse(done, 'id, expected_value and new_value');
        return;
      }
      groups.serve(call, done, (core) => {
        const options = { deadline: deadlineOf(call, core) };
        const request = { id, expectedValue, newValue };
        const writing = new UnaryOperations(core).compareExchange(request, options);
        answer(writing, done, ({ done: success, oldValue }) => {
          return { success, id, oldValue, newValue: success ? newValue : oldValue };
        });
      });
    },
  };
}

function answer(
  operation: Promise<UnaryResult>,
  done: sendUnaryData<AtomicResponse>,
  responseOf: (result: Extract<UnaryResult, { ok: true }>) => AtomicResponse,
): void {
  void operation.then((result) => {
    if (result.ok) done(null, responseOf(result));
    else if (isRedirect(result.failure)) done(null, redirectTo(result.failure.leader));
    else done(grpcErrorOf(result.failure));
  });
}

function isRedirect({ outcome, status: code }: Failure): boolean {
  return outcome === 'notProposed' && REDIRECTS.has(code);
}

function redirectTo(leader: string | undefined): AtomicResponse {
  return leader === undefined ? { success: false } : { success: false, redirect: leader };
}

function refuse(done: sendUnaryData<AtomicResponse>, fields: string): void {
  done(grpcErrorOf(invalid(`${fields}: required`)));
}
