// People and chat, beside the stage or, on a phone, as a sheet over it.

import { type KeyboardEvent, useRef } from 'react';
import { useStore } from '../lib/store';
import type { Me } from '../session/state';
import { Icon } from '../ui/Icon';
import type { Person } from '../view/people';
import { ChatPanel } from './ChatPanel';
import { usePage } from './context';
import { PeoplePanel } from './PeoplePanel';

/** Which of the two is open. */
export type PanelTab = 'people' | 'chat';

/** The panel. */
export function Panel(props: {
  tab: PanelTab;
  onTab: (tab: PanelTab | null) => void;
  people: Person[];
  me: Me;
  asking: Person[];
}) {
  const { session } = usePage();
  const { unread } = useStore(session.chat.state);
  const tabs = useRef<HTMLDivElement>(null);
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key !== 'ArrowLeft' && event.key !== 'ArrowRight') return;
    props.onTab(props.tab === 'people' ? 'chat' : 'people');
    tabs.current?.querySelector<HTMLElement>('[aria-selected=false]')?.focus();
  };
  const tab = (name: PanelTab, label: string) => (
    <button
      type="button"
      role="tab"
      id={`tab-${name}`}
      aria-selected={props.tab === name}
      aria-controls="panel-body"
      tabIndex={props.tab === name ? 0 : -1}
      onClick={() => props.onTab(name)}
    >
      {label}
    </button>
  );
  return (
    <aside className="panel" aria-label="People and chat">
      <div className="panel-head">
        <div
          className="panel-tabs"
          role="tablist"
          aria-label="People and chat"
          ref={tabs}
          onKeyDown={onKeyDown}
        >
          {tab('people', `People ${props.people.length}`)}
          {tab('chat', unread > 0 ? `Chat · ${unread} new` : 'Chat')}
        </div>
        <button
          type="button"
          className="quiet round"
          aria-label="Close panel"
          onClick={() => props.onTab(null)}
        >
          <Icon name="close" />
        </button>
      </div>
      <div className="panel-body" id="panel-body" role="tabpanel" aria-labelledby={`tab-${props.tab}`}>
        {props.tab === 'people' ? (
          <PeoplePanel people={props.people} me={props.me} asking={props.asking} />
        ) : (
          <ChatPanel />
        )}
      </div>
    </aside>
  );
}
