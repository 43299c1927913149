// What a room page knows of its stream, from the events of
// `/sse/:id/updates`. Pure.

import { decodeStream } from '../api/decode';
import type { StreamInfo } from '../api/types';
import { type FeedAction, type Link, nextLink } from './action';

/** A stream as this page sees it. */
export interface StreamFeed {
  link: Link;
  /** The newest state, `null` before the first one. */
  info: StreamInfo | null;
  /** The server knows no such stream. */
  missing: boolean;
  /** Sent as `Last-Event-ID` when the connection is made again. */
  lastId: string | null;
}

/** Before anything is known. */
export const noStream: StreamFeed = { link: { is: 'connecting' }, info: null, missing: false, lastId: null };

/** The next state of the feed. */
export function reduceStream(feed: StreamFeed, action: FeedAction): StreamFeed {
  const link = nextLink(feed.link, action);
  switch (action.type) {
    case 'open':
      return same(feed, { ...feed, link, missing: false });
    case 'down':
      return same(feed, { ...feed, link });
    case 'missing':
      // A stream that was seen to end stays "ended" when its record goes.
      return same(feed, { ...feed, link, missing: feed.info?.phase !== 'ended', lastId: null });
    case 'event': {
      const told = decodeStream(action.data);
      const lastId = action.id ?? feed.lastId;
      if (told === null) return feed;
      return same(feed, { link, missing: false, lastId, info: newer(feed.info, told) });
    }
  }
}

/**
 * The newer of two states: within an epoch the higher version, and another epoch always replaces
 * what there was, because its record was made anew.
 */
export function newer(had: StreamInfo | null, told: StreamInfo): StreamInfo {
  if (had === null || had.epoch !== told.epoch || told.version > had.version) return told;
  return had;
}

function same(before: StreamFeed, after: StreamFeed): StreamFeed {
  const changed = (Object.keys(after) as (keyof StreamFeed)[]).some((key) => before[key] !== after[key]);
  return changed ? after : before;
}
