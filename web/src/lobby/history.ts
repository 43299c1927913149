// What was on: read in pages, and anew now and then while streams end. The lobby's events tell of an end at
// once and forget it after some minutes; history keeps it for days.

import { useCallback, useEffect, useRef, useState } from 'react';
import { listEnded } from '../api/client';
import type { StreamInfo } from '../api/types';

/** Items of a page. */
const PAGE = 12;

/** After an end history is read again so much later, and up to twice that: many lobbies do not ask at once. */
const REFRESH_MS = 20_000;

/** What is known of history. */
export interface History {
  /** By end, the latest first. */
  streams: StreamInfo[];
  /** Reads the next page; `null` when there is none. */
  more: (() => void) | null;
}

/** One generation of a stream. */
export function generationKey(stream: StreamInfo): string {
  return `${stream.startedAt} ${stream.streamId}`;
}

/** Ended streams of the lobby, and those that only history knows; the latest end first. */
export function endedStreams(lobby: StreamInfo[], history: StreamInfo[]): StreamInfo[] {
  const known = new Map([...history, ...lobby].map((stream) => [generationKey(stream), stream]));
  return [...known.values()]
    .filter((stream) => stream.phase === 'ended')
    .sort((a, b) => ended(b) - ended(a) || (a.streamId < b.streamId ? -1 : 1));
}

/** History, read when the page has loaded and again after `ends`, a text that changes with every end, did. */
export function useHistory(ends: string): History {
  const [streams, setStreams] = useState<StreamInfo[]>([]);
  const [next, setNext] = useState<string | null>(null);
  const read = useRef(false);
  const busy = useRef(false);

  const load = useCallback(async (from: string | null, first: boolean) => {
    if (busy.current) return;
    busy.current = true;
    try {
      const page = await listEnded(PAGE, from);
      setStreams((had) => endedStreams(page.streams, had));
      // A page that was read again says nothing of how far history was read before.
      if (first || from !== null) setNext(page.next);
    } catch {
      // History is no reason to complain: what is on is shown, and the next end asks again.
    } finally {
      busy.current = false;
    }
  }, []);

  // biome-ignore lint/correctness/useExhaustiveDependencies: an end is what starts it.
  useEffect(() => {
    const first = !read.current;
    read.current = true;
    if (first) {
      void load(null, true);
      return;
    }
    const timer = setTimeout(() => void load(null, false), REFRESH_MS * (1 + Math.random()));
    return () => clearTimeout(timer);
  }, [ends, load]);

  return { streams, more: next === null ? null : () => void load(next, false) };
}

function ended(stream: StreamInfo): number {
  return Date.parse(stream.endedAt ?? stream.startedAt) || 0;
}
