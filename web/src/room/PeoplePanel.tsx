// Who is here, and what a host can do about each.

import { useDeferredValue, useState } from 'react';
import { banPerson, lowerHand, muteSource, removePerson, setRole } from '../api/client';
import { ApiError, explain } from '../api/error';
import type { Me } from '../session/state';
import { Icon } from '../ui/Icon';
import { Menu, type MenuItem } from '../ui/Menu';
import { SignIn } from '../ui/SignIn';
import { findPeople, MOST_ROWS, type Person, sortPeople } from '../view/people';
import { roleText } from '../view/words';
import { BannedButton } from './Banned';
import { usePage } from './context';

type Act = (work: () => Promise<void>) => void;

/** The list with search, and before it those who ask to speak. */
export function PeoplePanel({ people, me, asking }: { people: Person[]; me: Me; asking: Person[] }) {
  const { streamId } = usePage();
  const [search, setSearch] = useState('');
  const [problem, setProblem] = useState<string | null>(null);
  const [signing, setSigning] = useState(false);
  const found = findPeople(sortPeople(people), useDeferredValue(search));
  const host = me.role === 'host';
  const act: Act = (work) => {
    setProblem(null);
    work().catch((error: unknown) => {
      setProblem(
        explain(error, { missing: 'That person is not here any more.', conflict: 'The stream has ended.' }),
      );
      if (error instanceof ApiError && error.kind === 'unauthorized') setSigning(true);
    });
  };
  return (
    <div className="people">
      {people.length > 8 && (
        <input
          type="search"
          aria-label="Search people"
          placeholder="Search"
          value={search}
          onChange={(event) => setSearch(event.target.value)}
        />
      )}
      <div role="alert">{problem !== null && <p className="problem">{problem}</p>}</div>
      {host && asking.length > 0 && <Asking asking={asking} act={act} />}
      <ul className="people-list" aria-label="People">
        {found.slice(0, MOST_ROWS).map((person) => (
          <Row
            key={person.identity}
            person={person}
            items={host && !person.me ? hostItems(streamId, person, act) : []}
          />
        ))}
      </ul>
      {found.length === 0 && <p className="hint">Nobody of this name is here.</p>}
      {found.length > MOST_ROWS && (
        <p className="hint">And {(found.length - MOST_ROWS).toLocaleString('en')} more. Search for a name.</p>
      )}
      {host && <BannedButton />}
      {signing && (
        <SignIn
          reason="This needs a key."
          onClose={() => setSigning(false)}
          onDone={() => setSigning(false)}
        />
      )}
    </div>
  );
}

function Asking({ asking, act }: { asking: Person[]; act: Act }) {
  const { streamId } = usePage();
  return (
    <section className="asking" aria-label="They want to speak">
      <h2>Want to speak</h2>
      <ul>
        {asking.map(({ identity, name }) => (
          <li key={identity}>
            <Icon name="hand" />
            <span className="person-name">{name}</span>
            <button
              type="button"
              className="plain small"
              aria-label={`Not now, ${name}`}
              onClick={() => act(() => lowerHand(streamId, identity, null))}
            >
              Not now
            </button>
            <button
              type="button"
              className="primary small"
              aria-label={`Let speak, ${name}`}
              onClick={() => act(() => setRole(streamId, identity, 'speaker'))}
            >
              Let speak
            </button>
          </li>
        ))}
      </ul>
    </section>
  );
}

function Row({ person, items }: { person: Person; items: MenuItem[] }) {
  return (
    <li className="person" data-person={person.identity}>
      <span className="person-face" aria-hidden="true">
        {[...person.name.trim()][0]?.toLocaleUpperCase() ?? '?'}
      </span>
      <span className="person-words">
        <span className="person-name">{person.me ? `${person.name} (you)` : person.name}</span>
        {person.role !== 'viewer' && <span className="hint">{roleText(person.role)}</span>}
        {person.role === 'viewer' && person.hand !== null && <span className="hint">wants to speak</span>}
      </span>
      <span className="person-marks">
        {person.hand !== null && <Icon name="hand" />}
        <Mark state={person.microphone} on="mic" off="mic-off" label="Microphone" />
        <Mark state={person.camera} on="camera" off="camera-off" label="Camera" />
        {person.screen && <Icon name="screen" />}
      </span>
      {items.length > 0 && (
        <Menu label={`Actions for ${person.name}`} items={items} side="below">
          <Icon name="more" />
        </Menu>
      )}
    </li>
  );
}

function Mark(props: {
  state: Person['camera'];
  on: 'mic' | 'camera';
  off: 'mic-off' | 'camera-off';
  label: string;
}) {
  if (props.state === 'none') return null;
  const on = props.state === 'on';
  return (
    <span title={`${props.label} ${on ? 'on' : 'off'}`}>
      <Icon name={on ? props.on : props.off} />
      <span className="visually-hidden">
        {props.label} {on ? 'on' : 'off'}
      </span>
    </span>
  );
}

function hostItems(streamId: string, person: Person, act: Act): MenuItem[] {
  const { identity } = person;
  const items: MenuItem[] = [];
  if (person.microphone === 'on')
    items.push({ label: 'Mute', onSelect: () => act(() => muteSource(streamId, identity, 'microphone')) });
  if (person.camera === 'on')
    items.push({
      label: 'Switch camera off',
      onSelect: () => act(() => muteSource(streamId, identity, 'camera')),
    });
  if (person.screen)
    items.push({
      label: 'Stop screen share',
      onSelect: () => act(() => muteSource(streamId, identity, 'screen_share')),
    });
  if (person.role === 'viewer')
    items.push({ label: 'Make speaker', onSelect: () => act(() => setRole(streamId, identity, 'speaker')) });
  else items.push({ label: 'Make viewer', onSelect: () => act(() => setRole(streamId, identity, 'viewer')) });
  if (person.hand !== null)
    items.push({ label: 'Lower hand', onSelect: () => act(() => lowerHand(streamId, identity, null)) });
  items.push({ label: 'Remove', onSelect: () => act(() => removePerson(streamId, identity)) });
  items.push({ label: 'Ban for a day', onSelect: () => act(() => banPerson(streamId, identity)) });
  return items;
}
