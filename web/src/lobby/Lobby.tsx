// The list of streams, with search and the way to a new one.

import { useDeferredValue, useMemo, useState } from 'react';
import type { StreamInfo } from '../api/types';
import type { Link } from '../feed/action';
import { inOrder, type LobbyFeed, matching } from '../feed/lobby';
import { useNow } from '../lib/clock';
import { type Readable, useStore } from '../lib/store';
import { Icon } from '../ui/Icon';
import { hasKey, SignIn } from '../ui/SignIn';
import { ThemeButton } from '../ui/theme';
import { timeText } from '../view/words';
import { CreateDialog } from './CreateDialog';
import { StreamCard } from './StreamCard';

/** So many are shown at first; more on request. With 500 the browser still only draws those in sight. */
const PAGE = 100;

/** The page. */
export function Lobby({ feed }: { feed: Readable<LobbyFeed> }) {
  const lobby = useStore(feed);
  const [search, setSearch] = useState('');
  const [creating, setCreating] = useState(false);
  const [signing, setSigning] = useState(false);
  const wanted = useDeferredValue(search);
  const ordered = useMemo(() => inOrder(lobby.streams.values()), [lobby.streams]);
  const shown = useMemo(() => matching(ordered, wanted), [ordered, wanted]);
  return (
    <div className="lobby">
      <header className="lobby-head">
        <h1>Streams</h1>
        <div className="lobby-search">
          <Icon name="search" />
          <input
            type="search"
            aria-label="Search streams"
            placeholder="Search"
            value={search}
            onChange={(event) => setSearch(event.target.value)}
          />
        </div>
        <div className="lobby-tools">
          <button
            type="button"
            className="quiet round"
            aria-label="Sign in with a key"
            title={hasKey() ? 'Signed in with a key' : 'Sign in with a key'}
            onClick={() => setSigning(true)}
          >
            <Icon name="key" filled={hasKey()} />
          </button>
          <ThemeButton />
        </div>
        <button type="button" className="primary lobby-new" onClick={() => setCreating(true)}>
          <Icon name="plus" />
          New stream
        </button>
      </header>
      <LinkNotice link={lobby.link} loaded={lobby.loaded} />
      <main>
        <Listing lobby={lobby} shown={shown} search={wanted} onCreate={() => setCreating(true)} />
      </main>
      <footer className="lobby-foot muted">
        <a href="/docs">API reference</a>
      </footer>
      {creating && <CreateDialog onClose={() => setCreating(false)} />}
      {signing && <SignIn onClose={() => setSigning(false)} onDone={() => setSigning(false)} />}
    </div>
  );
}

/** Says that the list is not current, and as of when it is. */
function LinkNotice({ link, loaded }: { link: Link; loaded: boolean }) {
  return (
    <div className="lobby-link" role="status">
      {link.is === 'down' && (
        <p>
          {loaded
            ? `Reconnecting · as of ${timeText(link.since)}`
            : 'The server cannot be reached. Trying again …'}
        </p>
      )}
    </div>
  );
}

function Listing(props: { lobby: LobbyFeed; shown: StreamInfo[]; search: string; onCreate: () => void }) {
  const { lobby, shown, search } = props;
  const now = useNow(5_000);
  const [most, setMost] = useState(PAGE);
  if (!lobby.loaded)
    return lobby.link.is === 'down' ? null : <p className="lobby-empty muted">Looking for streams …</p>;
  if (lobby.streams.size === 0) return <Empty onCreate={props.onCreate} />;
  if (shown.length === 0) return <NotFound search={search.trim()} all={lobby.total <= lobby.streams.size} />;
  return (
    <>
      <ul className="cards">
        {shown.slice(0, most).map((stream) => (
          <StreamCard key={stream.streamId} stream={stream} now={coarse(stream, now)} />
        ))}
      </ul>
      {shown.length > most && (
        <p className="lobby-more">
          <button type="button" className="plain" onClick={() => setMost(most + 4 * PAGE)}>
            Show more
          </button>
        </p>
      )}
      {lobby.total > lobby.streams.size && search === '' && (
        <p className="lobby-more muted">
          {lobby.streams.size.toLocaleString('en')} of {lobby.total.toLocaleString('en')} streams are listed.
        </p>
      )}
    </>
  );
}

/** A card's time moves by whole minutes, at first by ten seconds, so that most cards rest. */
function coarse(stream: StreamInfo, now: number): number {
  const began = Date.parse(stream.endedAt ?? stream.startedAt);
  const step = now - began < 120_000 ? 10_000 : 60_000;
  return began + Math.floor((now - began) / step) * step;
}

function Empty({ onCreate }: { onCreate: () => void }) {
  return (
    <div className="lobby-empty">
      <h2>Nothing is on</h2>
      <p className="muted">
        Start a stream: give it a name, go live, and send the link to whoever should watch.
      </p>
      <button type="button" className="primary" onClick={onCreate}>
        <Icon name="plus" />
        New stream
      </button>
    </div>
  );
}

function NotFound({ search, all }: { search: string; all: boolean }) {
  return (
    <div className="lobby-empty">
      <h2>No stream matches “{search}”</h2>
      {!all && (
        <p className="muted">
          Not all streams are in this list.{' '}
          <a href={`/room.html?streamId=${encodeURIComponent(search)}`}>Open the one called exactly that</a>
        </p>
      )}
    </div>
  );
}
