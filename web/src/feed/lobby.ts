// The list of streams, from the events of `/sse/streams`. Pure.

import { decodeStream } from '../api/decode';
import type { Phase, StreamInfo } from '../api/types';
import { type FeedAction, type Link, nextLink } from './action';
import { newer } from './stream';

/** How many streams the lobby asks for. */
export const LOBBY_LIMIT = 500;

/** More than the server ever shows: a bound against a page left open for months. */
const MOST_KEPT = 2 * LOBBY_LIMIT;

/** The lobby as this page sees it. */
export interface LobbyFeed {
  link: Link;
  /** By id, in no order. */
  streams: ReadonlyMap<string, StreamInfo>;
  /** How many there were in all when the list was sent. */
  total: number;
  /** A first list has come. */
  loaded: boolean;
}

/** Before anything is known. */
export const noStreams: LobbyFeed = {
  link: { is: 'connecting' },
  streams: new Map(),
  total: 0,
  loaded: false,
};

/** The next state of the lobby. */
export function reduceLobby(feed: LobbyFeed, action: FeedAction): LobbyFeed {
  const link = nextLink(feed.link, action);
  const lobby = link === feed.link ? feed : { ...feed, link };
  if (action.type !== 'event') return lobby;
  switch (action.event) {
    case 'snapshot':
      return snapshot(lobby, action.data);
    case 'upsert':
      return upsert(lobby, decodeStream(action.data));
    case 'remove':
      return remove(lobby, action.data);
    default:
      return lobby;
  }
}

/** Live first, then those whose host is away, then waiting, then ended; within each the newest first. */
export function inOrder(streams: Iterable<StreamInfo>): StreamInfo[] {
  return [...streams].sort(
    (a, b) => RANK[a.phase] - RANK[b.phase] || newestFirst(a, b) || (a.streamId < b.streamId ? -1 : 1),
  );
}

/** Those whose title or id has every word of `search` in it. */
export function matching(streams: StreamInfo[], search: string): StreamInfo[] {
  const words = search.toLocaleLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0) return streams;
  return streams.filter((stream) => {
    const text = `${stream.title ?? ''} ${stream.streamId}`.toLocaleLowerCase();
    return words.every((word) => text.includes(word));
  });
}

const RANK: Record<Phase, number> = { live: 0, reconnecting: 0, waiting: 1, ended: 2 };

/** Ended ones by when they ended, the others by when they began. */
function newestFirst(a: StreamInfo, b: StreamInfo): number {
  return Date.parse(b.endedAt ?? b.startedAt) - Date.parse(a.endedAt ?? a.startedAt) || 0;
}

function snapshot(lobby: LobbyFeed, data: unknown): LobbyFeed {
  const { streams: list, total } = (data ?? {}) as { streams?: unknown; total?: unknown };
  if (!Array.isArray(list)) return lobby;
  const known = list.map(decodeStream).filter((stream) => stream !== null);
  const streams = new Map(
    known.map((told) => [told.streamId, newer(lobby.streams.get(told.streamId) ?? null, told)]),
  );
  return { ...lobby, streams, loaded: true, total: typeof total === 'number' ? total : streams.size };
}

function upsert(lobby: LobbyFeed, told: StreamInfo | null): LobbyFeed {
  if (told === null) return lobby;
  const had = lobby.streams.get(told.streamId) ?? null;
  const info = newer(had, told);
  if (info === had) return lobby;
  if (had === null && lobby.streams.size >= MOST_KEPT) return { ...lobby, total: lobby.total + 1 };
  const streams = new Map(lobby.streams).set(told.streamId, info);
  return { ...lobby, streams, total: lobby.total + (had === null ? 1 : 0) };
}

function remove(lobby: LobbyFeed, data: unknown): LobbyFeed {
  const id = (data as { streamId?: unknown } | null)?.streamId;
  if (typeof id !== 'string' || !lobby.streams.has(id)) return lobby;
  const streams = new Map(lobby.streams);
  streams.delete(id);
  return { ...lobby, streams, total: Math.max(streams.size, lobby.total - 1) };
}
