// Who is kept out of the stream, and letting them in again.

import { useEffect, useState } from 'react';
import { liftBan, listBans } from '../api/client';
import { explain } from '../api/error';
import type { BannedPerson } from '../api/schema.gen';
import { Dialog } from '../ui/Dialog';
import { exactText } from '../view/words';
import { usePage } from './context';

/** Opens the list. */
export function BannedButton() {
  const [open, setOpen] = useState(false);
  return (
    <>
      <button type="button" className="plain small banned-open" onClick={() => setOpen(true)}>
        Banned people
      </button>
      {open && (
        <Dialog title="Banned people" onClose={() => setOpen(false)}>
          <BannedList />
        </Dialog>
      )}
    </>
  );
}

function BannedList() {
  const { streamId } = usePage();
  const [banned, setBanned] = useState<BannedPerson[] | null>(null);
  const [problem, setProblem] = useState<string | null>(null);
  useEffect(() => {
    let there = true;
    listBans(streamId)
      .then((list) => there && setBanned(list))
      .catch((error: unknown) => there && setProblem(explain(error)));
    return () => {
      there = false;
    };
  }, [streamId]);
  const lift = (identity: string) => {
    setProblem(null);
    liftBan(streamId, identity)
      .then(() => setBanned((list) => list?.filter((person) => person.identity !== identity) ?? null))
      .catch((error: unknown) => setProblem(explain(error)));
  };
  return (
    <>
      <div role="alert">{problem !== null && <p className="problem">{problem}</p>}</div>
      {banned?.length === 0 && <p className="hint">Nobody is banned.</p>}
      <ul aria-label="Banned people">
        {banned?.map(({ identity, until }) => (
          <li key={identity} className="person">
            <span className="person-words">
              <span className="person-name">{identity}</span>
              <span className="hint">until {exactText(until)}</span>
            </span>
            <button
              type="button"
              className="plain small"
              aria-label={`Let in again, ${identity}`}
              onClick={() => lift(identity)}
            >
              Let in again
            </button>
          </li>
        ))}
      </ul>
    </>
  );
}
