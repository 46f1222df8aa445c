import { BinaryReader } from '@bufbuild/protobuf/wire';
import { AtomicServiceService, SessionRequest } from '../../proto/gen/atomic/v1/atomic.ts';

/** Batches in one message. Each takes far more memory than bytes, so bytes alone do not bound it. */
export const MESSAGE_BATCHES_MAX = 16_384;

const BATCHES_FIELD = 1;

/** atomic.v1.AtomicService, with Session messages read by `sessionRequestFrom`. */
export const ATOMIC_SERVICE = {
  ...AtomicServiceService,
  session: { ...AtomicServiceService.session, requestDeserialize: sessionRequestFrom },
} as const;

/** Reads a message; of one with too many batches, only one more than are allowed. */
export function sessionRequestFrom(bytes: Uint8Array): SessionRequest {
  const reader = new BinaryReader(bytes);
  let batches = 0;
  while (reader.pos < bytes.length && batches <= MESSAGE_BATCHES_MAX) {
    const [field, wireType] = reader.tag();
    if (field === BATCHES_FIELD) batches++;
    reader.skip(wireType);
  }
  return SessionRequest.decode(bytes.subarray(0, reader.pos));
}
