// The API's reference: a list on the side, and everything in one long page, so
// that the browser's own search finds it.

import { useDeferredValue, useMemo, useState } from 'react';
import { Icon } from '../ui/Icon';
import { ThemeButton } from '../ui/theme';
import { type Reference as Model, matching, type Problem, type Section } from './document';
import { OperationEntry } from './OperationEntry';
import { Prose } from './Prose';
import { Members } from './SchemaText';

/** The page. */
export function Reference({ reference, origin }: { reference: Model; origin: string }) {
  const [search, setSearch] = useState('');
  const wanted = useDeferredValue(search);
  const sections = useMemo(() => matching(reference.sections, wanted), [reference.sections, wanted]);
  return (
    <div className="docs">
      <aside className="docs-side">
        <div className="docs-tools">
          <a className="quiet round button" href="/" aria-label="Streams" title="Streams">
            <Icon name="back" />
          </a>
          <input
            type="search"
            aria-label="Search the reference"
            placeholder="Search"
            value={search}
            onChange={(event) => setSearch(event.target.value)}
          />
          <ThemeButton />
        </div>
        <Contents sections={sections} />
      </aside>
      <main className="docs-main">
        <header>
          <h1>{reference.title}</h1>
          <p className="muted">
            API reference, version {reference.version} · <a href="/openapi.json">openapi.json</a>
          </p>
        </header>
        {wanted === '' && <Introduction reference={reference} />}
        {sections.map((section) => (
          <section key={section.name} aria-labelledby={`section-${section.name}`}>
            <h2 id={`section-${section.name}`}>{section.name}</h2>
            <p className="muted">{section.description}</p>
            {section.operations.map((operation) => (
              <OperationEntry
                key={operation.id}
                operation={operation}
                origin={origin}
                isWebhook={section.name === 'webhooks'}
              />
            ))}
          </section>
        ))}
        {sections.length === 0 && <p className="muted">Nothing matches “{wanted.trim()}”.</p>}
        <Problems problems={reference.problems} />
        <Schemas schemas={reference.schemas} />
      </main>
    </div>
  );
}

function Contents({ sections }: { sections: Section[] }) {
  return (
    <nav aria-label="Contents">
      {sections.map((section) => (
        <div key={section.name}>
          <h2>{section.name}</h2>
          <ul>
            {section.operations.map(({ id, method, path, summary }) => (
              <li key={id}>
                <a href={`#${id}`} title={summary}>
                  <span className={`verb verb-${method.toLowerCase()}`}>{method}</span>
                  <span className="docs-path">{path}</span>
                </a>
              </li>
            ))}
          </ul>
        </div>
      ))}
      <ul>
        <li>
          <a href="#problems">Problems</a>
        </li>
        <li>
          <a href="#schemas">Schemas</a>
        </li>
      </ul>
    </nav>
  );
}

function Introduction({ reference }: { reference: Model }) {
  return (
    <section className="docs-intro">
      {reference.introduction.map((text) => (
        <p key={text}>
          <Prose text={text} />
        </p>
      ))}
      <h2>Credentials</h2>
      <dl className="members">
        {reference.credentials.map(({ name, description }) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>
              <Prose text={description} />
            </dd>
          </div>
        ))}
      </dl>
    </section>
  );
}

function Problems({ problems }: { problems: Problem[] }) {
  return (
    <section aria-labelledby="problems">
      <h2 id="problems">Problems</h2>
      <div className="docs-wide">
        <table>
          <thead>
            <tr>
              <th scope="col">Status</th>
              <th scope="col">code</th>
              <th scope="col">When</th>
              <th scope="col">detail, for example</th>
            </tr>
          </thead>
          <tbody>
            {problems.map(({ code, status, when, detail }) => (
              <tr key={code} id={`problem-${code}`}>
                <td>{status}</td>
                <td>
                  <code>{code}</code>
                </td>
                <td>
                  <Prose text={when} />
                </td>
                <td>{detail}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}

function Schemas({ schemas }: { schemas: Model['schemas'] }) {
  return (
    <section aria-labelledby="schemas">
      <h2 id="schemas">Schemas</h2>
      {schemas.map(({ name, schema }) => (
        <article key={name} id={`schema-${name}`} className="entry">
          <h3>{name}</h3>
          <Prose text={schema.description ?? ''} />
          <Members schema={schema} />
        </article>
      ))}
    </section>
  );
}
