// The entry of the embed: one stream in a frame of another page.

import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { openStreamFeed } from '../feed/open';
import { followPasses, takePasses } from '../lib/passes';
import { addressOf } from '../room/address';
import '../styles/base.css';
import { embedPage } from './Embed';

const streamId = addressOf(window.location.pathname, window.location.search);
const root = document.getElementById('root');
if (streamId !== null && root !== null) {
  followPasses();
  takePasses(streamId);
  createRoot(root).render(<StrictMode>{embedPage(streamId, openStreamFeed(streamId))}</StrictMode>);
}
