// The lobby's entry. None of LiveKit's client comes along here.

import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { LOBBY_LIMIT, noStreams, reduceLobby } from '../feed/lobby';
import { openFeed } from '../feed/shared';
import '../styles/base.css';
import '../styles/lobby.css';
import { applyTheme } from '../ui/theme';
import { Lobby } from './Lobby';

applyTheme();

const feed = openFeed({
  path: `/sse/streams?limit=${LOBBY_LIMIT}`,
  initial: noStreams,
  reduce: reduceLobby,
  lastId: () => null,
});

const root = document.getElementById('root');
if (root !== null) {
  createRoot(root).render(
    <StrictMode>
      <Lobby feed={feed} />
    </StrictMode>,
  );
}
