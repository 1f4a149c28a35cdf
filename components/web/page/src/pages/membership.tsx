// What memberships there are, and buying one. Paying happens at the payment provider; the host decides what came of it.

import { useEffect, useState } from 'preact/hooks';
import { ApiError } from '../api/client';
import * as routes from '../api/routes';
import type { Tier } from '../api/types';
import { Button, Notice } from '../parts/basics';
import { Icon } from '../parts/icons';
import { Page } from '../parts/shell';
import { navigate, place } from '../router';
import { changed, me } from '../state/session';
import { tab } from '../state/storage';
import { feed } from '../state/stores';
import { t } from '../strings';
import { price, problem, tierOf } from '../words';

/** As the host has them, in paise. It charges its own. */
const PRICES: Record<Tier, number> = { free: 0, silver: 9_900, gold: 19_900 };
const TIERS: Tier[] = ['free', 'silver', 'gold'];
/** The payment that was begun, kept while the member is at the provider. */
export const PAYMENT = 'payment';

export function MembershipPage() {
  const current = tierOf(me.value);
  const [busy, setBusy] = useState<Tier>();
  const [failure, setFailure] = useState('');
  // Whoever comes back from the provider has begun a payment.
  const [open, setOpen] = useState(() => place.peek().query.get('txnId') ?? tab.get(PAYMENT));
  const [isChecking, setChecking] = useState(false);
  const [isPaid, setPaid] = useState(false);
  const confirm = async (txnId: string) => {
    setChecking(true);
    setFailure('');
    try {
      const { user } = await routes.confirmPayment(txnId);
      tab.remove(PAYMENT);
      setOpen(null);
      setPaid(true);
      if (user?._id) changed(user);
      else changed(await routes.profile());
      feed.reset();
    } catch (error) {
      setFailure(problem(error));
      // One that is not this member's, or is unknown, need not be asked about again.
      if (error instanceof ApiError && (error.status === 403 || error.status === 404)) forget();
    } finally {
      setChecking(false);
      if (place.peek().query.size > 0) navigate('/app/membership', { replace: true });
    }
  };
  useEffect(() => {
    if (open) void confirm(open);
  }, []);
  const forget = () => {
    tab.remove(PAYMENT);
    setOpen(null);
  };
  const buy = async (tier: Exclude<Tier, 'free'>) => {
    setBusy(tier);
    setFailure('');
    try {
      const { url, txnId } = await routes.createPayment(tier);
      const target = new URL(url, location.href);
      if (target.protocol !== 'https:' && target.protocol !== 'http:')
        throw new Error('the payment has no web address');
      tab.set(PAYMENT, txnId);
      location.assign(target.href);
    } catch (error) {
      setFailure(problem(error));
      setBusy(undefined);
    }
  };
  return (
    <Page title={t.membership.title} note={t.membership.note(t.membership.tiers[current].name)}>
      {isPaid && <Notice kind="good">{t.membership.paid(t.membership.tiers[current].name)}</Notice>}
      {isChecking && <Notice kind="info">{t.membership.checking}</Notice>}
      {failure && (
        <Notice
          kind="error"
          action={
            open ? (
              <div class="row">
                <Button isBusy={isChecking} onPress={() => void confirm(open)}>
                  {t.membership.check}
                </Button>
                <Button
                  kind="quiet"
                  onPress={() => {
                    forget();
                    setFailure('');
                  }}
                >
                  {t.membership.forget}
                </Button>
              </div>
            ) : undefined
          }
        >
          {failure} {open && t.membership.notYet}
        </Notice>
      )}
      <ul class="tiers">
        {TIERS.map((tier) => {
          const { name, gains } = t.membership.tiers[tier];
          const isCurrent = tier === current;
          return (
            <li key={tier} class={`card tier-card ${tier} ${isCurrent ? 'current' : ''}`}>
              <h2>{name}</h2>
              <p class="price">
                <strong>{price(PRICES[tier])}</strong>
                {tier !== 'free' && <span> {t.membership.once}</span>}
              </p>
              <ul>
                {gains.map((gain) => (
                  <li key={gain}>
                    <Icon name="check" size={18} />
                    {gain}
                  </li>
                ))}
              </ul>
              {isCurrent ? (
                <p class="now">{t.membership.current}</p>
              ) : (
                tier !== 'free' &&
                TIERS.indexOf(tier) > TIERS.indexOf(current) && (
                  <Button kind="primary" isBusy={busy !== undefined} onPress={() => void buy(tier)}>
                    {busy === tier ? t.membership.going : t.membership.get(name)}
                  </Button>
                )
              )}
            </li>
          );
        })}
      </ul>
      <p class="note">{t.membership.provider}</p>
    </Page>
  );
}
