import type { PeerId } from './ids.ts';

/**
 * braft's error names and numbers (errno.proto; the others are Linux errno values). The names are
 * what callers branch on; the numbers travel on the wire and in exit codes.
 */
export const RAFT_ERROR_NUMBERS = {
  EPERM: 1,
  ENOENT: 2,
  EINTR: 4,
  EIO: 5,
  EAGAIN: 11,
  EACCES: 13,
  EBUSY: 16,
  EEXIST: 17,
  EINVAL: 22,
  ENOSPC: 28,
  ERANGE: 34,
  ENODATA: 61,
  ESHUTDOWN: 108,
  ETIMEDOUT: 110,
  EHOSTDOWN: 112,
  EHOSTUNREACH: 113,
  ESTALE: 116,
  ECANCELED: 125,
  ERAFTTIMEDOUT: 10001,
  ESTATEMACHINE: 10002,
  ECATCHUP: 10003,
  ELEADERREMOVED: 10004,
  ESETPEER: 10005,
  ENODESHUTDOWN: 10006,
  EHIGHERTERMREQUEST: 10007,
  EHIGHERTERMRESPONSE: 10008,
  EBADNODE: 10009,
  EVOTEFORCANDIDATE: 10010,
  ENEWLEADER: 10011,
  ELEADERCONFLICT: 10012,
  ETRANSFERLEADERSHIP: 10013,
  ELOGDELETED: 10014,
  ENOMOREUSERLOG: 10015,
  EREADONLY: 10016,
} as const;

export type RaftErrorCode = keyof typeof RAFT_ERROR_NUMBERS;

/** Why something was refused or changed, as a value (braft Status). */
export type Refusal = {
  readonly code: RaftErrorCode;
  readonly text: string;
  /**
   * Whether the request certainly had no effect. `unknown`: it was proposed and may still be
   * committed by this or another leader; the caller must not repeat it blindly.
   */
  readonly outcome: 'notProposed' | 'unknown';
  /** Where to go instead, when known. */
  readonly leader?: PeerId;
};
