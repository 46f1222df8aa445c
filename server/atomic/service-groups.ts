import { status, type Metadata, type StatusObject, type sendUnaryData } from '@grpc/grpc-js';
import type { AtomicServiceCore } from './service-core.ts';
import { grpcErrorOf, notProposed } from './service-failure.ts';

/** The metadata by which a call names its group. */
export const GROUP_METADATA = 'atomic-group';

type NamingCall = { readonly metadata: Metadata };

/** The groups behind one port. A call that names none, as braft's clients do, is for the first. */
export class ServedGroups {
  readonly #cores: ReadonlyMap<string, AtomicServiceCore>;

  constructor(cores: ReadonlyMap<string, AtomicServiceCore>) {
    this.#cores = cores;
  }

  /** The group that the call is for, or undefined when this server does not have it. */
  find({ metadata }: NamingCall): AtomicServiceCore | undefined {
    const [named] = metadata.get(GROUP_METADATA);
    const [first] = this.#cores.values();
    return named === undefined ? first : this.#cores.get(String(named));
  }

  /** Serves a unary call with the group that it is for, or refuses it. */
  serve<Response>(
    call: NamingCall,
    done: sendUnaryData<Response>,
    handler: (core: AtomicServiceCore) => void,
  ): void {
    const core = this.find(call);
    if (core === undefined) done(this.refusal(call));
    else handler(core);
  }

  /** Says that the call names a group which is not here. */
  refusal({ metadata }: NamingCall): StatusObject {
    const [named = ''] = metadata.get(GROUP_METADATA);
    const known = [...this.#cores.keys()].join(', ');
    const message = `there is no group ${String(named)} on this server; it has ${known}`;
    return grpcErrorOf(notProposed({ status: status.NOT_FOUND, reason: 'ENOENT', message }));
  }
}
