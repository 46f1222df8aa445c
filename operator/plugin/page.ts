import { z } from 'zod';
import { ApiError } from '../controller/api-error.ts';
import type { PluginPorts, PodKey } from './ports.ts';
import type { Rights } from './rights.ts';

const statusSchema = z.object({
  state: z.string(),
  leader: z.string().nullable(),
  term: z.number(),
  joined: z.boolean(),
  committedIndex: z.number(),
  appliedIndex: z.number(),
  lastIndex: z.number(),
});

const memberSchema = z.object({
  peer: z.string(),
  self: z.boolean(),
  role: z.enum(['voter', 'outgoing', 'learner', 'outsider']),
  status: statusSchema.optional(),
  activity: z.object({ version: z.string() }).optional(),
  lastContactMs: z.number().optional(),
  installingSnapshot: z.boolean().optional(),
});

const pageSchema = z.object({
  leader: z.string().nullable(),
  term: z.number(),
  configurationIndex: z.number(),
  changing: z.boolean(),
  members: z.array(memberSchema),
});

/** What a server tells on its status page of the group, and of the other members it could ask. */
export type Page = z.output<typeof pageSchema>;
export type PageMember = Page['members'][number];

/** The pages of pods by ordinal, and why others have none. */
export type Pages = {
  readonly read: ReadonlyMap<number, Page>;
  readonly silent: ReadonlyMap<number, string>;
};

/** Asks all pods at once. */
export async function readPages(
  pods: ReadonlyMap<number, PodKey>,
  { readPage }: Pick<PluginPorts, 'readPage'>,
  rights: Rights,
): Promise<Pages> {
  const read = new Map<number, Page>();
  const silent = new Map<number, string>();
  const ask = async ([ordinal, pod]: readonly [number, PodKey]): Promise<void> => {
    const { namespace } = pod;
    const right = { verb: 'get', resource: 'pods', subresource: 'proxy', namespace };
    try {
      const answer = await rights.attempt(right, () => readPage(pod));
      if (answer !== undefined) read.set(ordinal, pageSchema.parse(answer));
    } catch (error) {
      // Silence is an observation.
      if (error instanceof ApiError) silent.set(ordinal, withoutRequest(error.message));
      else if (error instanceof z.ZodError) silent.set(ordinal, 'its status page is unreadable');
      else throw error;
    }
  };
  await Promise.all([...pods].map(ask));
  return { read, silent };
}

/** The request says nothing to whoever asked for a status. */
function withoutRequest(message: string): string {
  return message.replace(/^GET \S+: /, '');
}
