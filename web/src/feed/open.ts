// The feed of one stream, as room and embed use it: counts without lists of
// people, for those come with the media.

import { bearerFor } from '../api/client';
import { type Feed, openFeed } from './shared';
import { noStream, reduceStream, type StreamFeed } from './stream';

/** Opens it. */
export function openStreamFeed(streamId: string): Feed<StreamFeed> {
  return openFeed({
    path: `/sse/${encodeURIComponent(streamId)}/updates?view=summary`,
    initial: noStream,
    reduce: reduceStream,
    lastId: (state) => state.lastId,
    bearer: () => bearerFor(streamId),
  });
}
