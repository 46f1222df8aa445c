import type { PeerId } from '../../server/raft/core/ids.ts';
import type { PeerAnnouncement, Receiver } from '../../server/raft/transport/transport.ts';
import type { FrameDecoder } from '../../server/raft/transport/frame-decoder.ts';
import type { FrameEncoder } from '../../server/raft/transport/frame-encoder.ts';
import type { ProcessGate } from './process-gate.ts';

/** One process on the network. */
export type Endpoint = {
  readonly peer: PeerId;
  readonly gate: ProcessGate;
  readonly encoder: FrameEncoder;
  readonly decoder: FrameDecoder;
  announcement: PeerAnnouncement | undefined;
  receiver: Receiver | undefined;
};
