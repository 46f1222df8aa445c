import type { ChannelOptions } from '@grpc/grpc-js';
import { RaftServiceService } from '../../../proto/gen/raft/v1/raft.ts';

const passThrough = (bytes: Buffer): Buffer => bytes;

/**
 * raft.v1.RaftService with the frames of `Exchange` as bytes: frame-encoder.ts and frame-decoder.ts
 * make and read them, one copy less than the generated code and without throwing.
 */
export const RAFT_SERVICE = {
  ...RaftServiceService,
  exchange: {
    ...RaftServiceService.exchange,
    requestSerialize: passThrough,
    requestDeserialize: passThrough,
    responseSerialize: passThrough,
    responseDeserialize: passThrough,
  },
} as const;

/** Channels to peers: one connection each, straight there, nothing looked up behind our back. */
export function peerChannelOptions(authority: string, messageBytesMax: number): ChannelOptions {
  return {
    'grpc.default_authority': authority,
    'grpc.enable_http_proxy': 0,
    'grpc.enable_retries': 0,
    'grpc.enable_channelz': 0,
    'grpc.service_config_disable_resolution': 1,
    // Otherwise channels to one address share one connection, and a snapshot delays heartbeats.
    'grpc.use_local_subchannel_pool': 1,
    'grpc.initial_reconnect_backoff_ms': 50,
    'grpc.max_reconnect_backoff_ms': 1_000,
    'grpc.dns_min_time_between_resolutions_ms': 1_000,
    'grpc.max_receive_message_length': messageBytesMax,
    'grpc.max_send_message_length': messageBytesMax,
    'grpc-node.flow_control_window': 2_097_152,
  };
}

/** The largest gRPC message between peers: one oversized entry still fits a frame of its own. */
export const PEER_MESSAGE_BYTES_MAX = 16_777_216;
