// A schema: its type in words, and its members one by one.

import { limitsOf, type Schema, typeOf } from './document';
import { Prose } from './Prose';

/** The type, with links to what it names. */
export function TypeText({ schema }: { schema: Schema | undefined }) {
  return (
    <span className="docs-type">
      {typeOf(schema).map((part) =>
        typeof part === 'string' ? (
          part
        ) : (
          <a key={part.ref} href={`#schema-${part.ref}`}>
            {part.ref}
          </a>
        ),
      )}
    </span>
  );
}

/** The members of an object; of anything else the type. */
export function Members({ schema }: { schema: Schema }) {
  const members = Object.entries(schema.properties ?? {});
  if (members.length === 0)
    return (
      <p>
        <TypeText schema={schema} />
      </p>
    );
  return (
    <dl className="members">
      {members.map(([name, member]) => (
        <div key={name}>
          <dt>
            {name}
            {schema.required?.includes(name) !== true && <span className="muted"> optional</span>}
          </dt>
          <dd>
            <TypeText schema={member} /> <span className="muted">{limitsOf(member)}</span>
            {member.description !== undefined && (
              <p>
                <Prose text={member.description} />
              </p>
            )}
          </dd>
        </div>
      ))}
    </dl>
  );
}
