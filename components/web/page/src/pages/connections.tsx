// Everybody that the member is connected with, and who of them is there.

import { useEffect, useState } from 'preact/hooks';
import { Empty, Failed, Skeleton } from '../parts/basics';
import { Avatar, Skills, about } from '../parts/people';
import { Page } from '../parts/shell';
import { connections } from '../state/stores';
import { t } from '../strings';
import { firstName, fullName } from '../words';

/** From so many on one can search. */
const MANY = 8;

export function ConnectionsPage() {
  useEffect(() => void connections.need(), []);
  const [search, setSearch] = useState('');
  const { value, error, isLoading } = connections.state.value;
  const wanted = search.trim().toLocaleLowerCase();
  const shown = value?.filter((user) =>
    [fullName(user), ...user.skills].some((text) => text?.toLocaleLowerCase().includes(wanted)),
  );
  return (
    <Page title={t.connections.title} note={value && value.length > 0 && t.connections.count(value.length)}>
      {error !== undefined && <Failed error={error} again={() => void connections.load()} />}
      {value === undefined && isLoading && <Skeleton kind="card" />}
      {value?.length === 0 && (
        <Empty
          icon="people"
          title={t.connections.none}
          action={
            <a class="button primary" href="/app/feed">
              {t.requests.discover}
            </a>
          }
        >
          {t.connections.noneText}
        </Empty>
      )}
      {value !== undefined && value.length >= MANY && (
        <input
          class="search"
          type="search"
          value={search}
          aria-label={t.connections.search}
          placeholder={t.connections.search}
          onInput={(event) => setSearch(event.currentTarget.value)}
        />
      )}
      {shown?.length === 0 && value !== undefined && value.length > 0 && (
        <p class="note" role="status">
          {t.connections.noneFound}
        </p>
      )}
      <ul class="cards">
        {shown?.map((user) => (
          <li key={user._id}>
            <article class="card person-card">
              <header>
                <Avatar user={user} size="large" presence />
                <div class="who">
                  <h2>{fullName(user)}</h2>
                  <p class="note">{about(user)}</p>
                </div>
              </header>
              {user.about && <p class="about">{user.about}</p>}
              <Skills skills={user.skills} />
              <footer>
                <a
                  class="button primary"
                  href={`/app/chat/${user._id}`}
                  aria-label={t.connections.messageTo(firstName(user))}
                >
                  {t.connections.message}
                </a>
              </footer>
            </article>
          </li>
        ))}
      </ul>
    </Page>
  );
}
