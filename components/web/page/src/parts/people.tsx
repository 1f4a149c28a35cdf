// How members are shown: a picture or letters, a row of a list, a card with what they are about.

import type { ComponentChildren } from 'preact';
import { useState } from 'preact/hooks';
import type { FeedUser, Person, SafeUser } from '../api/types';
import { online } from '../state/hub';
import { t } from '../strings';
import { fullName, initials, percent, tierOf } from '../words';

/** Their photo, or their letters where there is none. Says nothing: the name stands beside it. */
export function Avatar({
  user,
  size = 'medium',
  presence = false,
}: {
  user: Person | undefined;
  size?: 'small' | 'medium' | 'large';
  presence?: boolean;
}) {
  const [broken, setBroken] = useState<string>();
  const url = user?.photoUrl;
  const isThere = presence && user !== undefined && online.value.has(user._id);
  return (
    <span class={`avatar ${size} hue-${hue(user?._id)}`}>
      {url && url !== broken ? (
        <img
          src={url}
          alt=""
          loading="lazy"
          decoding="async"
          referrerpolicy="no-referrer"
          onError={() => setBroken(url)}
        />
      ) : (
        <span aria-hidden="true">{initials(user)}</span>
      )}
      {isThere && (
        <span class="dot" title={t.online}>
          <span class="hidden">{t.online}</span>
        </span>
      )}
    </span>
  );
}

/** One of six colours, always the same for a member. */
function hue(id: string | undefined): number {
  return Number.parseInt(id?.slice(-4) ?? '0', 16) % 6 || 0;
}

/** A member in a list. */
export function PersonRow({
  user,
  note,
  children,
  presence = false,
  href,
}: {
  user: Person | undefined;
  note?: ComponentChildren;
  children?: ComponentChildren;
  presence?: boolean;
  href?: string;
}) {
  const name = fullName(user);
  return (
    <div class="person">
      <Avatar user={user} presence={presence} />
      <div class="who">
        <p class="name">{href ? <a href={href}>{name}</a> : name}</p>
        {note && <p class="note">{note}</p>}
      </div>
      {children && <div class="acts">{children}</div>}
    </div>
  );
}

export function Skills({ skills }: { skills: readonly (string | null)[] }) {
  const named = skills.filter((skill): skill is string => Boolean(skill));
  if (named.length === 0) return null;
  return (
    <ul class="skills" aria-label={t.fields.skills}>
      {named.map((skill) => (
        <li key={skill}>{skill}</li>
      ))}
    </ul>
  );
}

/** A short line of what is known besides the name. */
export function about(user: SafeUser): string {
  const gender = t.genders[user.gender as keyof typeof t.genders];
  return [user.age, gender].filter(Boolean).join(' · ');
}

/** A member as the feed shows one. */
export function PersonCard({
  user,
  heading = 'h2',
  children,
}: {
  user: FeedUser;
  heading?: 'h2' | 'h3';
  children?: ComponentChildren;
}) {
  const tier = tierOf(user);
  const Heading = heading;
  const { recommendationScore: score, recommendationReasoning: reasons = [], scoreBreakdown: parts } = user;
  return (
    <article class="card person-card">
      <header>
        <Avatar user={user} size="large" />
        <div class="who">
          <Heading tabIndex={-1}>{fullName(user)}</Heading>
          <p class="note">
            {about(user)}
            {tier !== 'free' && <span class={`tier ${tier}`}>{t.membership.tiers[tier].name}</span>}
          </p>
        </div>
        {score !== undefined && (
          <p class={`score ${score >= 0.7 ? 'high' : ''}`}>
            <strong>{percent(score)}</strong>
            <span>{t.feed.match}</span>
          </p>
        )}
      </header>
      {user.about && <p class="about">{user.about}</p>}
      <Skills skills={user.skills} />
      {reasons.length > 0 && (
        <div class="reasons">
          <p class="label">{t.feed.why}</p>
          <ul>
            {reasons.map((reason) => (
              <li key={reason}>{reason}</li>
            ))}
          </ul>
        </div>
      )}
      {parts && (
        <details>
          <summary>{t.feed.breakdown}</summary>
          <dl class="parts">
            {(Object.keys(t.feed.parts) as (keyof typeof t.feed.parts)[]).map((part) => (
              <div key={part}>
                <dt>{t.feed.parts[part]}</dt>
                <dd>
                  <Meter part={parts[part] ?? 0} />
                  <span>{percent(parts[part] ?? 0)}</span>
                </dd>
              </div>
            ))}
          </dl>
        </details>
      )}
      {children && <footer>{children}</footer>}
    </article>
  );
}

/** A bar; the number stands beside it. */
function Meter({ part }: { part: number }) {
  return (
    <span class="meter" aria-hidden="true">
      <i style={{ width: percent(part) }} />
    </span>
  );
}
