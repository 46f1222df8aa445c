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
import type { ServedGroups } from './service-groups.ts';
import { deadlineOf } from './service-call.ts';
import { grpcErrorOf, invalid } from './service-failure.ts';
import { SessionStream, consistencyOf } from './service-session.ts';
import { UnaryOperations, type UnaryResult } from './service-unary.ts';

/** The handlers of atomic.v1.AtomicService. */
export function createAtomicService(groups: ServedGroups): AtomicServiceServer {
  return {
    get: (call: ServerUnaryCall<GetRequest, GetResponse>, done) => {
      const { id } = call.request;
      if (id === undefined) {
        refuse(done, 'id: required');
        return;
      }
      groups.serve(call, done, (core) => {
        const consistency = consistencyOf(call.request.consistency);
        const options = { deadline: deadlineOf(call, core), consistency };
        const reading = new UnaryOperations(core).get(id, options);
        answer(reading, done, ({ oldValue: value }) => ({ value }));
      });
    },
    exchange: (call: ServerUnaryCall<ExchangeRequest, ExchangeResponse>, done) => {
      const { id, value, writeId } = call.request;
      if (id === undefined || value === undefined) {
        refuse(done, 'id and value: required');
        return;
      }
      groups.serve(call, done, (core) => {
        const options = { deadline: deadlineOf(call, core), writeId };
        const writing = new UnaryOperations(core).exchange(id, value, options);
        answer(writing, done, ({ oldValue }) => ({ oldValue }));
      });
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
      groups.serve(call, done, (core) => {
        const options = { deadline: deadlineOf(call, core), writeId };
        const request = { id, expectedValue, newValue };
        const writing = new UnaryOperations(core).compareExchange(request, options);
        answer(writing, done, (result) => ({ exchanged: result.done, oldValue: result.oldValue }));
      });
    },
    session: (call) => {
      const core = groups.find(call);
      if (core === undefined) call.emit('error', groups.refusal(call));
      else new SessionStream(call, core);
    },
    registerSession: (
      call: ServerUnaryCall<RegisterSessionRequest, RegisterSessionResponse>,
      done,
    ) => {
      groups.serve(call, done, (core) => {
        void core.registerSession().then((registered) => {
          if (typeof registered === 'number') done(null, { sessionId: registered });
          else done(grpcErrorOf(registered));
        });
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
