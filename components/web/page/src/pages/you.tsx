// What has no place in the bar of a phone.

import { Icon, type IconName } from '../parts/icons';
import { LogOut } from '../parts/log_out';
import { Avatar } from '../parts/people';
import { Page } from '../parts/shell';
import { me } from '../state/session';
import { t } from '../strings';
import { fullName, tierOf } from '../words';

const LINKS: { href: string; icon: IconName; text: string }[] = [
  { href: '/app/profile', icon: 'you', text: t.profile.nav },
  { href: '/app/connections', icon: 'people', text: t.connections.nav },
  { href: '/app/membership', icon: 'star', text: t.membership.nav },
  { href: '/app/settings', icon: 'settings', text: t.settings.nav },
];

export function YouPage() {
  const user = me.value;
  return (
    <Page title={t.you.title} class="narrow">
      <div class="person own-head">
        <Avatar user={user} size="large" />
        <div class="who">
          <p class="name">{fullName(user)}</p>
          <p class="note">
            {user?.emailId} · {t.membership.tiers[tierOf(user)].name}
          </p>
        </div>
      </div>
      <ul class="rows links">
        {LINKS.map(({ href, icon, text }) => (
          <li key={href}>
            <a href={href}>
              <span class="round small">
                <Icon name={icon} />
              </span>
              <span class="who">{text}</span>
              <Icon name="right" size={18} />
            </a>
          </li>
        ))}
      </ul>
      <LogOut kind="plain" />
    </Page>
  );
}
