import type { ServerUnaryCall, sendUnaryData } from '@grpc/grpc-js';
import type {
  AtomicServiceServer,
  CompareExchangeRequest,
  CompareExchangeResponse,
  ExchangeRequest,
  ExchangeResponse,
  GetRequest,
  GetResponse,
  RegisterSessionRequest,
  RegisterSessionResponse,
} from '../../proto/gen/atomic/v1/atomic.ts';
import type { AtomicServiceCore } from './service-core.ts';
import { deadlineOf } from './service-call.ts';
import { grpcErrorOf, invalid } from './service-failure.ts';
import { SessionStream, consistencyOf } from './service-session.ts';
import { UnaryOperations, type UnaryResult } from './service-unary.ts';

/** The handlers of atomic.v1.AtomicService. */
export function createAtomicService(core: AtomicServiceCore): AtomicServiceServer {
  const operations = new UnaryOperations(core);
  return {
    get: (call: ServerUnaryCall<GetRequest, GetResponse>, done) => {
      const { id } = call.request;
      if (id === undefined) {
        refuse(done, 'id: required');
        return;
      }
      const consistency = consistencyOf(call.request.consistency);
      const reading = operations.get(id, { deadline: deadlineOf(call, core), consistency });
      answer(reading, done, ({ oldValue: value }) => ({ value }));
    },
    exchange: (call: ServerUnaryCall<ExchangeRequest, ExchangeResponse>, done) => {
      const { id, value, writeId } = call.request;
      if (id === undefined || value === undefined) {
        refuse(done, 'id and value: required');
        return;
      }
      const options = { deadline: deadlineOf(call, core), writeId };
      answer(operations.exchange(id, value, options), done, ({ oldValue }) => ({ oldValue }));
    },
    compareExchange: (
      call: ServerUnaryCall<CompareExchangeRequest, CompareExchangeResponse>,
      done,
    ) => {
      const { id, expectedValue, newValue, writeId } = call.request;
      if (id === undefined || expectedValue === undefined || newValue === undefined) {
        refuse(done, 'id, expected_value and new_value: required');
        return;
      }
      const options = { deadline: deadlineOf(call, core), writeId };
      const writing = operations.compareExchange({ id, expectedValue, newValue }, options);
      answer(writing, done, (result) => ({ exchanged: result.done, oldValue: result.oldValue }));
    },
    session: (call) => {
      new SessionStream(call, core);
    },
    registerSession: (
      _call: ServerUnaryCall<RegisterSessionRequest, RegisterSessionResponse>,
      done,
    ) => {
      void core.registerSession().then((registered) => {
        if (typeof registered === 'number') done(null, { sessionId: registered });
        else done(grpcErrorOf(registered));
      });
    },
  };
}

function answer<Response>(
  operation: Promise<UnaryResult>,
  done: sendUnaryData<Response>,
  responseOf: (result: Extract<UnaryResult, { ok: true }>) => Response,
): void {
  void operation.then((result) => {
    if (result.ok) done(null, responseOf(result));
    else done(grpcErrorOf(result.failure));
  });
}

function refuse(done: sendUnaryData<never>, message: string): void {
  done(grpcErrorOf(invalid(message)));
}
