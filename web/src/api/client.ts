// One function per request the pages make. The only module that calls `fetch`
// for answers (the event streams are in `src/feed`).

import { noteServerDate } from '../lib/clock';
import { keepPass, recallPass } from '../lib/passes';
import { recall } from '../lib/storage';
import { decodeStream } from './decode';
import { ApiError, kindOf } from './error';
import type {
  BanBody,
  BannedPerson,
  CreatedStream,
  InviteBody,
  IssuedInvite,
  JoinStreamBody,
  LeaveStreamBody,
  MuteBody,
  PatchParticipantBody,
} from './schema.gen';
import type { JoinAnswer, NewStream, Role, Source, StreamChange, StreamInfo } from './types';

/** How long to wait for an answer. */
const DEADLINE_MS = 15_000;

/** Where the session's key is kept. */
export const KEY_SHELF = 'key';

/** What a join asks for. `token`, of an earlier join, proves that the identity is ours. */
export interface JoinWish {
  userId: string;
  name: string;
  role: Role | null;
  token: string | null;
}

/** Opens a stream. `created` is false when one of that name is active already. */
export async function createStream(wish: NewStream): Promise<{ streamId: string; created: boolean }> {
  const { status, body } = await call('POST', '/streams', { body: wish });
  const { streamId, hostKey } = body as CreatedStream;
  if (hostKey !== undefined) keepPass('hostKey', streamId, hostKey);
  return { streamId, created: status === 201 };
}

/** The head of a stream. */
export async function getStream(id: string): Promise<StreamInfo> {
  const { body } = await call('GET', path(id), { bearer: bearerFor(id) });
  const info = decodeStream(body);
  if (info === null) throw new ApiError('failed', 'The answer is not a stream.');
  return info;
}

/** What was on, latest end first: one page, and where the next one is. */
export async function listEnded(
  limit: number,
  next: string | null,
): Promise<{ streams: StreamInfo[]; next: string | null }> {
  const { body, link } = await call('GET', next ?? `/streams?status=finished&limit=${limit}`);
  const list = Array.isArray(body) ? body : [];
  const streams = list.map(decodeStream).filter((stream) => stream !== null);
  return { streams, next: nextPage(link) };
}

/** Asks for a token. An earlier connection of the same identity is replaced. */
export async function joinStream(id: string, wish: JoinWish, signal?: AbortSignal): Promise<JoinAnswer> {
  const { token, role, ...rest } = wish;
  const body: JoinStreamBody = { ...rest, ...(role === null ? {} : { role }), onDuplicate: 'replace' };
  const options = signal === undefined ? { body } : { body, signal };
  const passes = [ownKey(), recallPass('hostKey', id), token, recallPass('invite', id)].filter(isThere);
  // A pass may be of a former stream of this name: then the next one counts, and last whoever has none.
  const asStranger = ownKey() === null && token === null;
  const bearers: (string | null)[] = asStranger ? [...passes, null] : passes;
  for (const [at, bearer] of bearers.entries()) {
    try {
      return (await call('POST', path(id, 'join'), { ...options, bearer })).body as JoinAnswer;
    } catch (error) {
      if (at + 1 === bearers.length || !isOfAnother(error)) throw error;
    }
  }
  throw new ApiError('failed', 'There was nothing to join with.');
}

/** Makes a link that lets somebody in: `role` is the most they may be. */
export async function createInvite(id: string, role: 'viewer' | 'speaker'): Promise<string> {
  const body = { role } satisfies InviteBody;
  const answer = await call('POST', path(id, 'invites'), { body, bearer: leadBearer(id) });
  return (answer.body as IssuedInvite).link;
}

/** Puts somebody out of the stream and keeps them out for a day. */
export async function banPerson(id: string, identity: string): Promise<void> {
  await call('POST', path(id, 'bans'), {
    body: { identity } satisfies BanBody,
    bearer: leadBearer(id),
  });
}

/** Who is banned from a stream now, by identity. */
export async function listBans(id: string): Promise<BannedPerson[]> {
  return (await call('GET', path(id, 'bans'), { bearer: leadBearer(id) })).body as BannedPerson[];
}

/** Lets somebody in again who was banned. */
export async function liftBan(id: string, identity: string): Promise<void> {
  await call('DELETE', path(id, 'bans', identity), { bearer: leadBearer(id) });
}

/** Takes us out where the media connection cannot say so itself. */
export async function leaveStream(id: string, userId: string, token: string): Promise<void> {
  await call('POST', path(id, 'leave'), {
    body: { userId } satisfies LeaveStreamBody,
    bearer: token,
    keepalive: true,
  });
}

/** Changes a stream, unless somebody else has done so since `tag` was read. */
export async function changeStream(id: string, change: StreamChange, tag: string | undefined): Promise<void> {
  const headers: Record<string, string> = tag === undefined ? {} : { 'If-Match': `"${tag}"` };
  await call('PATCH', path(id), { body: change, headers, bearer: leadBearer(id) });
}

/** Ends a stream for everyone. */
export async function endStream(id: string): Promise<void> {
  await call('DELETE', path(id), { bearer: leadBearer(id) });
}

/** Makes somebody host, speaker or viewer, at once. */
export async function setRole(id: string, identity: string, role: Role): Promise<void> {
  const body = { role } satisfies PatchParticipantBody;
  await call('PATCH', path(id, 'participants', identity), { body, bearer: leadBearer(id) });
}

/** Mutes what somebody publishes. */
export async function muteSource(id: string, identity: string, source: Source): Promise<void> {
  const body = { source } satisfies MuteBody;
  await call('POST', path(id, 'participants', identity, 'mute'), { body, bearer: leadBearer(id) });
}

/** Puts somebody out of the stream. */
export async function removePerson(id: string, identity: string): Promise<void> {
  await call('DELETE', path(id, 'participants', identity), { bearer: leadBearer(id) });
}

/** Raises our own hand; `token` is the join token. */
export async function raiseHand(id: string, identity: string, token: string): Promise<void> {
  await call('PUT', path(id, 'participants', identity, 'hand'), { bearer: token });
}

/** Lowers a hand: our own with `token`, somebody else's with the key. */
export async function lowerHand(id: string, identity: string, token: string | null): Promise<void> {
  await call('DELETE', path(id, 'participants', identity, 'hand'), {
    bearer: token ?? leadBearer(id),
  });
}

/** What lets this browser look at a stream, `null` without any. */
export function bearerFor(id: string): string | null {
  return leadBearer(id) ?? recallPass('invite', id);
}

function leadBearer(id: string): string | null {
  return ownKey() ?? recallPass('hostKey', id);
}

function ownKey(): string | null {
  return recall<string>('session', KEY_SHELF);
}

function isThere(secret: string | null): secret is string {
  return secret !== null;
}

/** The bearer is not known here, or for another stream: a private one is not to be told from none then. */
function isOfAnother(error: unknown): boolean {
  if (!(error instanceof ApiError)) return false;
  return error.kind === 'unauthorized' || ['forbidden', 'stream_not_found'].includes(error.code);
}

/** The address in `<address>; rel="next"`, which must be one of this server's. */
function nextPage(link: string | null): string | null {
  return /^<(\/[^>]*)>; rel="next"/.exec(link ?? '')?.[1] ?? null;
}

interface Options {
  body?: unknown;
  /** Instead of the session's key. */
  bearer?: string | null;
  headers?: Record<string, string>;
  signal?: AbortSignal;
  keepalive?: boolean;
}

function path(id: string, ...more: string[]): string {
  return `/${['streams', id, ...more].map(encodeURIComponent).join('/')}`;
}

async function call(
  method: string,
  url: string,
  options: Options = {},
): Promise<{ status: number; body: unknown; link: string | null }> {
  const response = await send(method, url, options);
  noteServerDate(response.headers.get('date'));
  const body = await parse(response);
  if (response.ok) return { status: response.status, body, link: response.headers.get('link') };
  throw refusal(response, body);
}

async function send(method: string, url: string, options: Options): Promise<Response> {
  const bearer = options.bearer ?? recall<string>('session', KEY_SHELF);
  const headers: Record<string, string> = { Accept: 'application/json', ...options.headers };
  if (bearer !== null) headers.Authorization = `Bearer ${bearer}`;
  if (options.body !== undefined) headers['Content-Type'] = 'application/json';
  const deadline = AbortSignal.timeout(DEADLINE_MS);
  try {
    return await fetch(url, {
      method,
      headers,
      signal: options.signal === undefined ? deadline : AbortSignal.any([options.signal, deadline]),
      keepalive: options.keepalive ?? false,
      cache: 'no-store',
      ...(options.body === undefined ? {} : { body: JSON.stringify(options.body) }),
    });
  } catch (cause) {
    throw new ApiError('unreachable', cause instanceof Error ? cause.message : '');
  }
}

async function parse(response: Response): Promise<unknown> {
  const text = await response.text().catch(() => '');
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return null;
  }
}

function refusal(response: Response, body: unknown): ApiError {
  const problem = (body ?? {}) as { detail?: unknown; error?: unknown; code?: unknown };
  const detail = [problem.detail, problem.error].find((text) => typeof text === 'string') ?? '';
  const code = typeof problem.code === 'string' ? problem.code : '';
  const seconds = Number(response.headers.get('retry-after') ?? Number.NaN);
  const retryAfter = Number.isFinite(seconds) ? seconds * 1000 : null;
  return new ApiError(kindOf(response.status), detail as string, response.status, code, retryAfter);
}
