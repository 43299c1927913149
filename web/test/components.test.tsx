// Components, given what the reducers would give them.

import { render, screen, within } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { describe, expect, it, vi } from 'vitest';
import { type LobbyFeed, noStreams } from '../src/feed/lobby';
import { createStore } from '../src/lib/store';
import { CreateDialog } from '../src/lobby/CreateDialog';
import { Lobby } from '../src/lobby/Lobby';
import { StreamCard } from '../src/lobby/StreamCard';
import { Menu } from '../src/ui/Menu';
import { aStream } from './make';

const HOSTILE = '"><img src=x onerror=alert(1)>';

function lobbyOf(change: Partial<LobbyFeed>) {
  return createStore((_: LobbyFeed, next: LobbyFeed) => next, {
    ...noStreams,
    link: { is: 'open' },
    loaded: true,
    ...change,
  });
}

function answer(status: number, body: unknown): void {
  vi.stubGlobal(
    'fetch',
    vi.fn(async () => new Response(JSON.stringify(body), { status })),
  );
}

describe('the lobby', () => {
  it('says what to do while there is nothing', async () => {
    render(<Lobby feed={lobbyOf({})} />);
    expect(screen.getByText('Nothing is on')).toBeTruthy();
    await userEvent.click(screen.getAllByRole('button', { name: 'New stream' })[0] as HTMLElement);
    expect(screen.getByLabelText('Name')).toBeTruthy();
  });

  it('shows the streams in order and finds them', async () => {
    const streams = [
      aStream({ streamId: 'b', phase: 'waiting' }),
      aStream({ streamId: 'a', title: 'Alpha' }),
    ];
    render(
      <Lobby feed={lobbyOf({ streams: new Map(streams.map((each) => [each.streamId, each])), total: 2 })} />,
    );
    expect(screen.getAllByRole('listitem').map((card) => card.dataset.stream)).toEqual(['a', 'b']);
    await userEvent.type(screen.getByRole('searchbox'), 'alph');
    expect(screen.getAllByRole('listitem')).toHaveLength(1);
    await userEvent.type(screen.getByRole('searchbox'), 'xyz');
    expect(screen.getByRole('heading', { level: 2 }).textContent).toContain('alphxyz');
  });

  it('says as of when it is while the connection is broken', () => {
    const since = new Date(2026, 10, 23, 12, 3, 5).getTime();
    render(
      <Lobby feed={lobbyOf({ link: { is: 'down', since }, streams: new Map([['gold', aStream()]]) })} />,
    );
    expect(screen.getByText('Reconnecting · as of 12:03:05')).toBeTruthy();
  });

  it('draws a part of a long list, and more on request', async () => {
    const streams = new Map(Array.from({ length: 300 }, (_, n) => [`s${n}`, aStream({ streamId: `s${n}` })]));
    render(<Lobby feed={lobbyOf({ streams, total: 300 })} />);
    expect(document.querySelectorAll('.card')).toHaveLength(100);
    await userEvent.click(screen.getByText('Show more'));
    expect(document.querySelectorAll('.card')).toHaveLength(300);
  });
});

describe('what was on', () => {
  const past = (streamId: string, endedAt: string) => ({
    ...aStream({ streamId, status: 'finished', phase: 'ended', participantCount: 0, endedAt }),
    endReason: 'stopped',
    peakParticipants: 7,
  });

  it('is told once, the latest first, and linked to while its record is there', async () => {
    answer(200, [past('old', '2026-11-23T10:10:00.000Z'), past('fresh', '2026-11-23T10:20:00.000Z')]);
    const fresh = past('fresh', '2026-11-23T10:20:00.000Z');
    render(<Lobby feed={lobbyOf({ streams: new Map([['fresh', fresh]]), total: 1 })} />);
    const ended = within(await screen.findByRole('region', { name: 'Ended' }));
    await ended.findByText('old');
    expect(ended.getAllByRole('listitem').map((card) => card.textContent)).toEqual([
      expect.stringContaining('fresh'),
      expect.stringMatching(/7old.*The host ended it.*It was on for 10 min\./),
    ]);
    expect(ended.getAllByRole('link').map((link) => link.getAttribute('href'))).toEqual([
      '/room.html?streamId=fresh',
    ]);
    expect(screen.getByText('Nothing is on')).toBeTruthy();
    await userEvent.type(screen.getByRole('searchbox'), 'old');
    expect(ended.getAllByRole('listitem')).toHaveLength(1);
  });

  it('is read page by page', async () => {
    const pages = [[past('b', '2026-11-23T10:20:00.000Z')], [past('a', '2026-11-23T10:10:00.000Z')]];
    const asked: string[] = [];
    vi.stubGlobal(
      'fetch',
      vi.fn(async (url: string) => {
        asked.push(url);
        const headers = asked.length === 1 ? { link: '</streams?cursor=x>; rel="next"' } : undefined;
        return new Response(JSON.stringify(pages[asked.length - 1]), { ...(headers ? { headers } : {}) });
      }),
    );
    render(<Lobby feed={lobbyOf({})} />);
    await userEvent.click(await screen.findByRole('button', { name: 'Show earlier ones' }));
    const ended = within(screen.getByRole('region', { name: 'Ended' }));
    await ended.findByText('a');
    expect(asked).toEqual(['/streams?status=finished&limit=12', '/streams?cursor=x']);
    expect(ended.queryByRole('button')).toBeNull();
  });
});

describe('a card', () => {
  const now = Date.parse('2026-11-23T10:18:00.000Z');
  const show = (change: Parameters<typeof aStream>[0]) =>
    render(
      <ul>
        <StreamCard stream={aStream(change)} now={now} />
      </ul>,
    ).container;

  it('tells the phases apart', () => {
    expect(show({ participantCount: 12 }).textContent).toMatch(/LIVE.*12.*18 min/);
    expect(show({ phase: 'waiting' }).textContent).toContain('waiting for the host');
    expect(show({ phase: 'reconnecting' }).textContent).toContain('host away');
    const ended = show({ phase: 'ended', endedAt: '2026-11-23T10:17:50.000Z', endReason: 'stopped' });
    expect(ended.textContent).toContain('10 s ago. The host ended it.');
    expect(ended.querySelector('.card-faded')).toBeNull();
    expect(
      show({ phase: 'ended', endedAt: '2026-11-23T10:15:00.000Z' }).querySelector('.card-faded'),
    ).not.toBeNull();
  });

  it('shows a hostile name as text and links to it safely', () => {
    const card = show({ streamId: HOSTILE });
    expect(card.querySelector('img')).toBeNull();
    expect(card.textContent).toContain(HOSTILE);
    expect(card.querySelector('a')?.getAttribute('href')).toBe(
      `/room.html?streamId=${encodeURIComponent(HOSTILE)}`,
    );
  });
});

describe('the dialog for a new stream', () => {
  const fill = async () => {
    render(<CreateDialog onClose={() => undefined} />);
    await userEvent.type(screen.getByLabelText('Name'), ' gold {enter}');
  };

  it('leads to the stream that is on already instead of taking it over', async () => {
    answer(200, { streamId: 'gold' });
    await fill();
    expect((await screen.findByRole('link', { name: 'Go there' })).getAttribute('href')).toBe(
      '/room.html?streamId=gold',
    );
    expect(fetch).toHaveBeenCalledWith(
      '/streams',
      expect.objectContaining({
        method: 'POST',
        body: JSON.stringify({ name: 'gold', defaultRole: 'viewer' }),
      }),
    );
  });

  it('says what the server did not like', async () => {
    answer(400, { detail: '"name" must not contain a slash', code: 'invalid_request' });
    await fill();
    expect((await screen.findByText(/must not contain/)).textContent).toContain('did not accept');
  });

  it('asks for a key when one is needed, and uses it', async () => {
    answer(401, { detail: 'this needs a key' });
    await fill();
    await screen.findByText('Opening a stream here needs a key.');
    answer(403, {});
    await userEvent.type(screen.getByLabelText('Key'), 'read-only{enter}');
    expect(await screen.findByText(/may look, but not open streams/)).toBeTruthy();
    expect(fetch).toHaveBeenCalledWith(
      '/streams',
      expect.objectContaining({ headers: expect.objectContaining({ Authorization: 'Bearer read-only' }) }),
    );
  });
});

describe('a menu', () => {
  it('is used by keyboard alone', async () => {
    const chosen = vi.fn();
    render(
      <Menu
        label="More"
        items={[
          { label: 'One', onSelect: () => chosen(1) },
          { label: 'Two', onSelect: () => chosen(2) },
        ]}
      >
        …
      </Menu>,
    );
    await userEvent.tab();
    await userEvent.keyboard('{Enter}');
    expect(document.activeElement?.textContent).toBe('One');
    await userEvent.keyboard('{ArrowDown}');
    await userEvent.keyboard('{Enter}');
    expect(chosen).toHaveBeenCalledExactlyOnceWith(2);
    expect(screen.queryByRole('menu')).toBeNull();
    expect(document.activeElement).toBe(screen.getByRole('button', { name: 'More' }));
    await userEvent.keyboard('{Enter}{Escape}');
    expect(screen.queryByRole('menu')).toBeNull();
    expect(within(document.body).getByRole('button', { name: 'More' })).toBe(document.activeElement);
  });
});
