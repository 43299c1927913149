// Hands the session to the components below, together with LiveKit's own room
// context.

import { RoomContext } from '@livekit/components-react';
import { createContext, type ReactNode, useContext } from 'react';
import type { Feed } from '../feed/shared';
import type { StreamFeed } from '../feed/stream';
import type { RoomSession } from '../session/controller';

interface Page {
  streamId: string;
  feed: Feed<StreamFeed>;
  session: RoomSession;
}

const PageContext = createContext<Page | null>(null);

/** Makes the page's parts available below. */
export function PageProvider({ page, children }: { page: Page; children: ReactNode }) {
  return (
    <PageContext.Provider value={page}>
      <RoomContext.Provider value={page.session.room}>{children}</RoomContext.Provider>
    </PageContext.Provider>
  );
}

/** The page's parts. */
export function usePage(): Page {
  const page = useContext(PageContext);
  if (page === null) throw new Error('usePage outside of PageProvider');
  return page;
}
