// The entry of the room page and of the embed: which one is decided by the
// address, and each loads only its own part.

import { type ReactNode, StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { openFeed } from '../feed/shared';
import { noStream, reduceStream } from '../feed/stream';
import '../styles/base.css';
import { applyTheme } from '../ui/theme';
import { addressOf } from './address';

applyTheme();
void start();

async function start(): Promise<void> {
  const address = addressOf(window.location.pathname, window.location.search);
  if (address === null) {
    window.location.replace('/');
    return;
  }
  // The state is asked for while the rest of the page is still loading.
  const feed = openFeed({
    path: `/sse/${encodeURIComponent(address.streamId)}/updates?view=summary`,
    initial: noStream,
    reduce: reduceStream,
    lastId: (state) => state.lastId,
  });
  if (address.embed) {
    const { embedPage } = await import('../embed/Embed');
    render(embedPage(address.streamId, feed));
  } else {
    const { roomPage } = await import('./RoomPage');
    render(roomPage(address.streamId, feed));
  }
}

function render(page: ReactNode): void {
  const root = document.getElementById('root');
  if (root !== null) createRoot(root).render(<StrictMode>{page}</StrictMode>);
}
