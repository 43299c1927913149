// The list of streams, with search and the way to a new one.

import { useDeferredValue, useId, useMemo, useState } from 'react';
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
import { endedStreams, generationKey, type History, useHistory } from './history';
import { PastCard, StreamCard } from './StreamCard';

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
  const ends = useMemo(() => ordered.filter(isOver).map(generationKey).join('\n'), [ordered]);
  const history = useHistory(ends);
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
        <Listing
          lobby={lobby}
          shown={shown}
          history={history}
          search={wanted}
          onCreate={() => setCreating(true)}
        />
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

function Listing(props: {
  lobby: LobbyFeed;
  shown: StreamInfo[];
  history: History;
  search: string;
  onCreate: () => void;
}) {
  const { lobby, shown, search } = props;
  const now = useNow(5_000);
  const [most, setMost] = useState(PAGE);
  const past = useMemo(() => matching(props.history.streams, search), [props.history.streams, search]);
  const over = useMemo(() => endedStreams(shown, past), [shown, past]);
  const on = useMemo(() => shown.filter((stream) => !isOver(stream)), [shown]);
  if (!lobby.loaded)
    return lobby.link.is === 'down' ? null : <p className="lobby-empty muted">Looking for streams …</p>;
  const isSearch = search.trim() !== '';
  if (isSearch && on.length + over.length === 0)
    return <NotFound search={search.trim()} all={lobby.total <= lobby.streams.size} />;
  return (
    <>
      {on.length === 0 && !isSearch && <Empty onCreate={props.onCreate} />}
      <ul className="cards">
        {on.slice(0, most).map((stream) => (
          <StreamCard key={stream.streamId} stream={stream} now={coarse(stream, now)} />
        ))}
      </ul>
      {on.length > most && (
        <p className="lobby-more">
          <button type="button" className="plain" onClick={() => setMost(most + 4 * PAGE)}>
            Show more
          </button>
        </p>
      )}
      {lobby.total > lobby.streams.size && !isSearch && (
        <p className="lobby-more muted">
          {lobby.streams.size.toLocaleString('en')} of {lobby.total.toLocaleString('en')} streams are listed.
        </p>
      )}
      {over.length > 0 && <Ended lobby={lobby} over={over} more={props.history.more} now={now} />}
    </>
  );
}

/** What was on. Whoever's record is still there is a link to its room; the others are only told of. */
function Ended(props: { lobby: LobbyFeed; over: StreamInfo[]; more: History['more']; now: number }) {
  const heading = useId();
  const isThere = (stream: StreamInfo) =>
    props.lobby.streams.get(stream.streamId)?.startedAt === stream.startedAt;
  return (
    <section className="lobby-ended" aria-labelledby={heading}>
      <h2 id={heading}>Ended</h2>
      <ul className="cards">
        {props.over.map((stream) => {
          const Card = isThere(stream) ? StreamCard : PastCard;
          return <Card key={generationKey(stream)} stream={stream} now={coarse(stream, props.now)} />;
        })}
      </ul>
      {props.more !== null && (
        <p className="lobby-more">
          <button type="button" className="plain" onClick={props.more}>
            Show earlier ones
          </button>
        </p>
      )}
    </section>
  );
}

function isOver(stream: StreamInfo): boolean {
  return stream.phase === 'ended';
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
