// What a stranger sees first.

import { useEffect } from 'preact/hooks';
import { Icon, Mark, type IconName } from '../parts/icons';
import { PersonCard } from '../parts/people';
import { t } from '../strings';

const POINTS: IconName[] = ['discover', 'requests', 'chat'];

export function Landing() {
  useEffect(() => {
    document.title = t.landing.title;
  }, []);
  return (
    <div class="landing">
      <header>
        <a class="brand" href="/">
          <Mark size={32} />
          <span>{t.product}</span>
        </a>
        <a class="button quiet" href="/app/login">
          {t.logIn.title}
        </a>
      </header>
      <main>
        <div class="hero-row">
          <section class="hero">
            <h1>{t.landing.headline}</h1>
            <p>{t.landing.lead}</p>
            <p class="row">
              <a class="button primary" href="/app/signup">
                {t.landing.start}
              </a>
              <a class="button plain" href="/app/login">
                {t.landing.known}
              </a>
            </p>
          </section>
          <div class="sample" aria-hidden="true" inert>
            <PersonCard user={t.landing.sample} />
          </div>
        </div>
        <ul class="points">
          {t.landing.points.map(({ title, text }, at) => (
            <li key={title}>
              <span class="round">
                <Icon name={POINTS[at] ?? 'check'} size={26} />
              </span>
              <h2>{title}</h2>
              <p>{text}</p>
            </li>
          ))}
        </ul>
      </main>
    </div>
  );
}
