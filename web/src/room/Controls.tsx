// The bar under the stage: how the stream is, what we can do, how we look at it.

import { type RefObject, useState } from 'react';
import type { StreamInfo } from '../api/types';
import { useNow } from '../lib/clock';
import { useStore } from '../lib/store';
import { REACTIONS } from '../session/chat';
import { failureOf } from '../session/preview';
import type { Me } from '../session/state';
import { Icon, type IconName } from '../ui/Icon';
import { Menu } from '../ui/Menu';
import { failureText } from '../view/devices';
import { type Person, requests } from '../view/people';
import type { Stage } from '../view/room';
import { clockText, exactText, watchingText } from '../view/words';
import { ConnectionMark } from './ConnectionMark';
import { usePage } from './context';
import { DeviceMenu } from './DeviceMenu';
import { EndButton } from './EndButton';
import type { PanelTab } from './Panel';
import { REACTION_ICONS, REACTION_NAMES } from './Reactions';
import { ViewTools } from './ViewTools';

interface ControlsProps {
  me: Me;
  info: StreamInfo | null;
  stage: Stage;
  people: Person[];
  title: string;
  tab: PanelTab | null;
  onTab: (tab: PanelTab) => void;
  fullscreen: RefObject<HTMLElement | null>;
}

/** The bar. */
export function Controls(props: ControlsProps) {
  const { me, people } = props;
  const self = people.find((person) => person.me);
  return (
    <footer className="bar">
      <Status info={props.info} stage={props.stage} />
      <div className="bar-actions" role="toolbar" aria-label="What you can do">
        {me.role !== 'viewer' && self !== undefined && <PublishControls self={self} />}
        {me.role === 'viewer' && <HandButton up={self?.hand !== null && self?.hand !== undefined} />}
        <ReactionMenu />
        {me.role === 'host' && <EndButton title={props.title} />}
        <LeaveButton />
      </div>
      <div className="bar-tools">
        <ViewTools fullscreen={props.fullscreen} />
        <TabButtons {...props} />
      </div>
    </footer>
  );
}

function Status({ info, stage }: { info: StreamInfo | null; stage: Stage }) {
  const now = useNow(1_000);
  if (info === null) return <div className="bar-status" />;
  const live = info.phase === 'live';
  return (
    <div className="bar-status">
      {live && (
        <span className="live" title={`Since ${exactText(info.startedAt)}`}>
          LIVE {clockText(now - Date.parse(info.startedAt))}
        </span>
      )}
      {!live && stage.is !== 'connecting' && <span className="muted">Not live</span>}
      <span className="bar-count muted" title={watchingText(info.participantCount)}>
        <Icon name="eye" />
        <span className="visually-hidden">People here: </span>
        <span data-count>{info.participantCount.toLocaleString('en')}</span>
      </span>
      <ConnectionMark />
    </div>
  );
}

function PublishControls({ self }: { self: Person }) {
  return (
    <>
      <Toggle what="microphone" label="Microphone" icon="mic" on={self.microphone === 'on'} />
      <Toggle what="camera" label="Camera" icon="camera" on={self.camera === 'on'} />
      <Toggle what="screen" label="Share screen" icon="screen" on={self.screen} />
      <DeviceMenu />
    </>
  );
}

function Toggle(props: {
  what: 'microphone' | 'camera' | 'screen';
  label: string;
  icon: 'mic' | 'camera' | 'screen';
  on: boolean;
}) {
  const { session } = usePage();
  const [busy, setBusy] = useState(false);
  const { what, on } = props;
  const flip = async () => {
    setBusy(true);
    try {
      await session.publish(what, !on);
    } catch (error) {
      if (what !== 'screen')
        session.say(failureText(what, window.isSecureContext ? failureOf(error) : 'insecure'));
      else if (!window.isSecureContext) session.say('Sharing the screen needs HTTPS or localhost.');
      else session.say('The screen is not shared.');
    } finally {
      setBusy(false);
    }
  };
  const icon: IconName = props.icon !== 'screen' && !on ? `${props.icon}-off` : props.icon;
  const title = {
    microphone: on ? 'Mute' : 'Unmute',
    camera: on ? 'Camera off' : 'Camera on',
    screen: on ? 'Stop sharing' : 'Share screen',
  }[what];
  return (
    <button
      type="button"
      className="control"
      aria-pressed={on}
      aria-label={props.label}
      title={title}
      disabled={busy}
      onClick={() => void flip()}
    >
      <Icon name={icon} />
    </button>
  );
}

function HandButton({ up }: { up: boolean }) {
  const { session } = usePage();
  const [busy, setBusy] = useState(false);
  const flip = async () => {
    setBusy(true);
    try {
      await session.hand(!up);
    } catch {
      session.say('The host could not be told. Try again in a moment.');
    } finally {
      setBusy(false);
    }
  };
  return (
    <button
      type="button"
      className="control control-wide"
      aria-pressed={up}
      aria-label="Raise hand"
      disabled={busy}
      onClick={() => void flip()}
    >
      <Icon name="hand" />
      <span className="control-text">Raise hand</span>
    </button>
  );
}

function ReactionMenu() {
  const { session } = usePage();
  const items = REACTIONS.map((kind) => ({
    kind,
    onSelect: () => void session.chat.react(kind).catch(() => session.say('The reaction could not be sent.')),
  }));
  const [first, ...rest] = items;
  if (first === undefined) return null;
  return (
    <span className="control-pair">
      <button
        type="button"
        className="control"
        aria-label={REACTION_NAMES[first.kind]}
        title={REACTION_NAMES[first.kind]}
        onClick={first.onSelect}
      >
        <Icon name={REACTION_ICONS[first.kind]} />
      </button>
      <Menu
        label="More reactions"
        className="control control-narrow"
        align="start"
        items={rest.map(({ kind, onSelect }) => ({
          label: REACTION_NAMES[kind],
          icon: REACTION_ICONS[kind],
          onSelect,
        }))}
      >
        <Icon name="down" />
      </Menu>
    </span>
  );
}

function LeaveButton() {
  const { session } = usePage();
  return (
    <button
      type="button"
      className="control control-wide"
      aria-label="Leave"
      onClick={() => void session.leave()}
    >
      <Icon name="leave" />
      <span className="control-text">Leave</span>
    </button>
  );
}

function TabButtons({ tab, onTab, people, me }: ControlsProps) {
  const { session } = usePage();
  const { unread } = useStore(session.chat.state);
  const asking = me.role === 'host' ? requests(people).length : 0;
  return (
    <>
      <button
        type="button"
        className="control"
        aria-label={`People, ${people.length}${asking > 0 ? `, ${asking} want to speak` : ''}`}
        aria-expanded={tab === 'people'}
        title="People"
        onClick={() => onTab('people')}
      >
        <Icon name="people" />
        {asking > 0 && <span className="badge">{asking}</span>}
      </button>
      <button
        type="button"
        className="control"
        aria-label={unread > 0 ? `Chat, ${unread} new` : 'Chat'}
        aria-expanded={tab === 'chat'}
        title="Chat"
        onClick={() => onTab('chat')}
      >
        <Icon name="chat" />
        {unread > 0 && <span className="badge">{unread > 99 ? '99+' : unread}</span>}
      </button>
    </>
  );
}
