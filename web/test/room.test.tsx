// The room's components, around a session that is not connected.

import { render, screen, within } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import type { ReactElement } from 'react';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { noStream, type StreamFeed } from '../src/feed/stream';
import { createStore } from '../src/lib/store';
import { ChatPanel } from '../src/room/ChatPanel';
import { PageProvider } from '../src/room/context';
import { Ended } from '../src/room/Ended';
import { GonePage, Missing, Unreachable } from '../src/room/Messages';
import { PeoplePanel } from '../src/room/PeoplePanel';
import { PreJoin } from '../src/room/PreJoin';
import { SettingsButton } from '../src/room/Settings';
import { RoomSession } from '../src/session/controller';
import { rememberMine } from '../src/session/identity';
import { aPerson, aStream } from './make';

const HOSTILE = '"><img src=x onerror=alert(1)>';
const me = { identity: 'ann', name: 'Ann', role: 'host' as const };

let session: RoomSession;

function show(element: ReactElement) {
  const feed = createStore((_: StreamFeed, next: StreamFeed) => next, { ...noStream, info: aStream() });
  session = new RoomSession('gold', feed);
  const page = { streamId: 'gold', feed: { ...feed, close: () => undefined }, session };
  return render(<PageProvider page={page}>{element}</PageProvider>);
}

/** What was asked of the server: method, address, body. */
let asked: string[][] = [];
let headers: unknown[] = [];

function serverSays(status: number, body: unknown = {}): void {
  vi.stubGlobal('fetch', async (url: string, init: RequestInit) => {
    asked.push([init.method ?? 'GET', url, String(init.body ?? '')]);
    headers.push(init.headers);
    return new Response(status === 204 ? null : JSON.stringify(body), { status });
  });
}

beforeEach(() => {
  asked = [];
  headers = [];
  serverSays(200, aStream({ defaultRole: 'viewer' }));
});

describe('the door', () => {
  const door = (refusal: Parameters<typeof PreJoin>[0]['refusal'] = null) =>
    show(<PreJoin title="Demo" info={aStream()} refusal={refusal} again={false} />);

  it('offers to watch, and asks for no camera before somebody wants to be seen', () => {
    door();
    expect(screen.getByRole('button', { name: 'Watch' })).toBeTruthy();
    expect(screen.queryByRole('region', { name: 'Camera and microphone' })).toBeNull();
  });

  it('offers to host to whoever opened the stream, and says why the camera does not work here', async () => {
    rememberMine('gold');
    door();
    expect(screen.getByRole('button', { name: 'Join on stage' })).toBeTruthy();
    expect(await screen.findByText(/only on HTTPS or localhost/)).toBeTruthy();
  });

  it('offers to take part where everybody may speak', async () => {
    serverSays(200, aStream({ defaultRole: 'speaker' }));
    door();
    expect(await screen.findByRole('radio', { name: 'Take part' })).toBeTruthy();
  });

  it('says why one was turned away, and offers a key where that helps', async () => {
    door('key');
    expect(screen.getByRole('alert').textContent).toContain('needs a key');
    await userEvent.click(screen.getByRole('button', { name: 'Sign in with a key' }));
    expect(screen.getByRole('dialog')).toBeTruthy();
  });

  it('joins under the name, made distinct', async () => {
    door();
    const join = vi.spyOn(session, 'join').mockResolvedValue();
    await userEvent.type(screen.getByLabelText('Your name'), 'Bob{enter}');
    expect(join).toHaveBeenCalledOnce();
    expect(join.mock.calls[0]?.[0]).toMatchObject({
      name: 'Bob',
      role: 'viewer',
      identity: expect.stringMatching(/^Bob-.{4}$/),
    });
  });
});

describe('the messages', () => {
  it('tell the ways of being out apart', () => {
    const titles = (['left', 'removed', 'replaced', 'lost'] as const).map((why) => {
      const { container, unmount } = show(<GonePage why={why} title="Demo" />);
      const title = container.querySelector('h1')?.textContent;
      unmount();
      return title;
    });
    expect(new Set(titles).size).toBe(4);
  });

  it('offer no way back in to somebody who was removed', () => {
    show(<GonePage why="removed" title="Demo" />);
    expect(screen.queryByRole('button')).toBeNull();
  });

  it('show a hostile name as text', () => {
    const { container } = show(<Missing streamId={HOSTILE} />);
    expect(container.querySelector('img')).toBeNull();
    expect(container.textContent).toContain(HOSTILE);
  });

  it('say since when the server is away', () => {
    show(<Unreachable since={new Date(2026, 10, 23, 12, 3, 5).getTime()} />);
    expect(screen.getByRole('status').textContent).toContain('12:03:05');
  });
});

describe('the summary', () => {
  const ended = aStream({
    phase: 'ended',
    endReason: 'stopped',
    endedAt: '2026-11-23T10:18:00.000Z',
    peakParticipants: 12,
    totalJoins: 40,
  });

  it('shows the host duration, peak and joins', () => {
    show(<Ended title="Demo" info={ended} hosted />);
    expect(screen.getByRole('heading').textContent).toBe('“Demo” is over');
    expect([...document.querySelectorAll('dd')].map((each) => each.textContent)).toEqual([
      '18 min',
      '12',
      '40',
    ]);
  });

  it('shows others no joins', () => {
    show(<Ended title="Demo" info={ended} hosted={false} />);
    expect(document.querySelectorAll('dd')).toHaveLength(2);
  });

  it('asks for what the event did not say', async () => {
    serverSays(200, ended);
    show(<Ended title="Demo" info={{ ...ended, totalJoins: undefined }} hosted />);
    expect(await screen.findByText('40')).toBeTruthy();
  });
});

describe('the people', () => {
  const bob = aPerson({ microphone: 'on', role: 'speaker' });
  const zoe = aPerson({ identity: 'zoe', name: 'Zoe', hand: 5 });
  const ann = aPerson({ identity: 'ann', name: 'Ann', me: true, role: 'host' });
  const panel = (as: 'host' | 'viewer' = 'host') =>
    show(<PeoplePanel people={[ann, bob, zoe]} me={{ ...me, role: as }} asking={[zoe]} />);
  const choose = async (person: string, action: string) => {
    await userEvent.click(screen.getByRole('button', { name: `Actions for ${person}` }));
    await userEvent.click(screen.getByRole('menuitem', { name: action }));
  };

  it('are changed by the host, each by one request', async () => {
    serverSays(204);
    panel();
    await choose('Bob', 'Mute');
    await choose('Bob', 'Make viewer');
    await choose('Bob', 'Remove');
    await userEvent.click(screen.getByRole('button', { name: 'Let speak, Zoe' }));
    await userEvent.click(screen.getByRole('button', { name: 'Not now, Zoe' }));
    expect(asked).toEqual([
      ['POST', '/streams/gold/participants/bob-x1y2/mute', '{"source":"microphone"}'],
      ['PATCH', '/streams/gold/participants/bob-x1y2', '{"role":"viewer"}'],
      ['DELETE', '/streams/gold/participants/bob-x1y2', ''],
      ['PATCH', '/streams/gold/participants/zoe', '{"role":"speaker"}'],
      ['DELETE', '/streams/gold/participants/zoe/hand', ''],
    ]);
  });

  it('are only looked at by others', () => {
    panel('viewer');
    expect(screen.queryByRole('button')).toBeNull();
    expect(screen.getByText('wants to speak')).toBeTruthy();
  });

  it('say in words what did not work', async () => {
    for (const [status, words] of [
      [404, 'That person is not here any more.'],
      [409, 'The stream has ended.'],
      [503, 'The server cannot do this just now.'],
      [403, 'This key may not do that.'],
    ] as const) {
      serverSays(status);
      const { unmount } = panel();
      await choose('Bob', 'Remove');
      expect((await screen.findByText(new RegExp(words))).className).toBe('problem');
      unmount();
    }
  });

  it('ask for a key where one is missing', async () => {
    serverSays(401);
    panel();
    await choose('Bob', 'Mute');
    expect(await screen.findByRole('dialog')).toBeTruthy();
  });

  it('are found by name among many', async () => {
    const many = Array.from({ length: 300 }, (_, n) => aPerson({ identity: `p${n}`, name: `Person ${n}` }));
    show(<PeoplePanel people={many} me={me} asking={[]} />);
    expect(document.querySelectorAll('.person')).toHaveLength(150);
    expect(screen.getByText(/And 150 more/)).toBeTruthy();
    await userEvent.type(screen.getByLabelText('Search people'), 'Person 299');
    expect(
      within(document.querySelector('.people-list') as HTMLElement).getByText('Person 299'),
    ).toBeTruthy();
    expect(document.querySelectorAll('.person')).toHaveLength(1);
  });
});

describe('the settings', () => {
  const head = { ...aStream({ title: 'Old', defaultRole: 'viewer' }), settingsTag: 'aaaaaaaa-s3' };

  it('change title and who may speak, if nobody else did meanwhile', async () => {
    serverSays(200, head);
    show(<SettingsButton />);
    await userEvent.click(screen.getByRole('button', { name: /Change title/ }));
    const field = (await screen.findByLabelText('Title')) as HTMLInputElement;
    expect(field.value).toBe('Old');
    await userEvent.clear(field);
    await userEvent.click(screen.getByRole('radio', { name: 'Everybody' }));
    await userEvent.click(screen.getByRole('button', { name: 'Save' }));
    expect(asked.at(-1)).toEqual(['PATCH', '/streams/gold', '{"title":null,"defaultRole":"speaker"}']);
    expect(headers.at(-1)).toMatchObject({ 'If-Match': '"aaaaaaaa-s3"' });
    expect(screen.queryByRole('dialog')).toBeNull();
  });

  it('show what somebody else made of them meanwhile', async () => {
    serverSays(200, head);
    show(<SettingsButton />);
    await userEvent.click(screen.getByRole('button', { name: /Change title/ }));
    await screen.findByLabelText('Title');
    vi.stubGlobal('fetch', async (_: string, init: RequestInit) => {
      if (init.method === 'PATCH') return new Response('{}', { status: 412 });
      return new Response(JSON.stringify({ ...head, title: 'Theirs' }), { status: 200 });
    });
    await userEvent.click(screen.getByRole('button', { name: 'Save' }));
    expect(await screen.findByDisplayValue('Theirs')).toBeTruthy();
    expect(screen.getByText(/Somebody changed it meanwhile/)).toBeTruthy();
  });
});

describe('the chat', () => {
  it('says that it is not kept, sends on Enter, and keeps what was not sent', async () => {
    show(<ChatPanel />);
    expect(screen.getByText(/The chat is not kept/)).toBeTruthy();
    const send = vi
      .spyOn(session.chat, 'send')
      .mockResolvedValueOnce()
      .mockRejectedValueOnce(new Error('away'));
    const field = screen.getByRole('textbox', { name: 'Message' }) as HTMLTextAreaElement;
    await userEvent.type(field, 'hello{enter}');
    expect(send).toHaveBeenCalledExactlyOnceWith('hello');
    expect(field.value).toBe('');
    await userEvent.type(field, 'again{enter}');
    expect((await screen.findByText(/was not sent/)).textContent).toBeTruthy();
    expect(field.value).toBe('again');
  });
});
