// The entry of the room page. The stream's state is asked for while the rest
// of the page is still loading.

import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { openStreamFeed } from '../feed/open';
import '../styles/base.css';
import { followPasses, takePasses } from '../lib/passes';
import { rememberMine } from '../session/identity';
import { applyTheme } from '../ui/theme';
import { addressOf } from './address';

applyTheme();
void start();

async function start(): Promise<void> {
  const streamId = addressOf(window.location.pathname, window.location.search);
  const root = document.getElementById('root');
  if (streamId === null || root === null) {
    window.location.replace('/');
    return;
  }
  followPasses();
  if (takePasses(streamId).includes('hostKey')) rememberMine(streamId);
  const feed = openStreamFeed(streamId);
  const { roomPage } = await import('./RoomPage');
  createRoot(root).render(<StrictMode>{roomPage(streamId, feed)}</StrictMode>);
}
