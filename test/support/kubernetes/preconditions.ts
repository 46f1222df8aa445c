import type { Preconditions } from '../../../operator/controller/api-client.ts';
import { ApiError } from '../../../operator/controller/api-error.ts';
import type {
  KubernetesObject,
  ObjectMeta,
} from '../../../operator/controller/kubernetes-object.ts';

/** What an API server answers to a request that it does not carry out. */
export function refusal(code: number, reason: string, message: string): ApiError {
  return new ApiError(message, { code, reason });
}

/** @throws ApiError, a conflict, when an object is another one than was asked for. */
export function mustHold(
  { metadata }: KubernetesObject,
  { uid, resourceVersion }: Preconditions,
): void {
  if (uid !== undefined && uid !== metadata.uid) {
    throw refusal(409, 'Conflict', `the uid of ${metadata.name} is ${metadata.uid ?? ''}`);
  }
  if (resourceVersion !== undefined && resourceVersion !== metadata.resourceVersion) {
    throw refusal(409, 'Conflict', `${metadata.name} has been modified`);
  }
}

/** The same for writes, in which a wrong uid is an attempt to change it. */
export function mustBeNewest(
  object: KubernetesObject,
  { uid, resourceVersion }: Preconditions,
): void {
  if (resourceVersion !== undefined) mustHold(object, { resourceVersion });
  if (uid !== undefined && uid !== object.metadata.uid) {
    throw refusal(422, 'Invalid', 'metadata.uid: field is immutable');
  }
}

/** An apply makes what is not there, whatever version it names; but never with a uid. */
export function mustNotExpect({ name, uid }: ObjectMeta): void {
  if (uid === undefined) return;
  throw refusal(409, 'Conflict', `uid mismatch: ${uid} is given, and there is no ${name}`);
}
