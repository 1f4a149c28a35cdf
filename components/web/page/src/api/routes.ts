// The host's routes, one function each, as the contract has them. Keeps nothing.

import { Client } from './client';
import type {
  ConnectionRequest,
  EmailPreferences,
  Exported,
  Feed,
  Notification,
  OwnUser,
  Page,
  ProfileChanges,
  ReceivedRequest,
  SafeUser,
  SentRequest,
  Session,
  StoredMessage,
  Tier,
} from './types';

export const client = new Client();

/** Passwords are hashed slowly on purpose, and wait for their turn under load. */
const SLOW = { patience: 40_000 };
const at = (id: string) => encodeURIComponent(id);

// The account.
export const signUp = (form: { firstName: string; lastName: string; emailId: string; password: string }) =>
  client.post<{ data: OwnUser }>('/signup', form, { ...SLOW, anonymous: true });
export const logIn = (emailId: string, password: string) =>
  client.post<OwnUser>('/login', { emailId, password }, { ...SLOW, anonymous: true });
export const logOut = () => client.post<string>('/logout', undefined, { anonymous: true });
export const changePassword = (currentPassword: string, newPassword: string) =>
  client.post<unknown>('/profile/password', { currentPassword, newPassword }, SLOW);
export const sessions = () => client.get<{ data: Session[] }>('/sessions');
export const endSession = (id: string) => client.delete<unknown>(`/sessions/${at(id)}`);
export const endOtherSessions = () => client.delete<unknown>('/sessions/others');
export const exportAccount = (cursor?: string) =>
  client.get<Exported>('/account/export', { patience: 120_000, query: { cursor } });
export const deleteAccount = (password: string) => client.delete<unknown>('/account', { password }, SLOW);

// The profile.
export const profile = (call?: { anonymous?: boolean }) => client.get<OwnUser>('/profile/view', call);
export const editProfile = (changes: ProfileChanges) =>
  client.patch<{ message: string; data: OwnUser }>('/profile/edit', changes);
export const emailPreferences = () => client.get<{ emailPreferences: EmailPreferences }>('/email-preferences');
export const choosePreferences = (changes: Partial<EmailPreferences>) =>
  client.patch<{ emailPreferences: EmailPreferences }>('/email-preferences', changes);

// Others.
export const feed = (page: number, limit: number, isRanked: boolean, signal?: AbortSignal) =>
  client.get<Feed>('/feed', { query: { page, limit, ml: isRanked || undefined }, ...(signal && { signal }) });
export const sendRequest = (status: 'interested' | 'ignore', id: string) =>
  client.post<{ data: ConnectionRequest }>(`/request/send/${status}/${at(id)}`);
export const respond = (id: string, action: 'accept' | 'reject') =>
  client.patch<{ data: ConnectionRequest }>(`/user/requests/${at(id)}/respond`, { action });
export const received = (page: number, limit: number) =>
  client.get<Page<ReceivedRequest>>('/user/requests/received', { query: { page, limit } });
export const sent = (page: number, limit: number) =>
  client.get<Page<SentRequest>>('/user/requests/sent', { query: { page, limit } });
export const connections = () => client.get<{ data: SafeUser[] }>('/user/connections');
export const history = (id: string, query: { limit: number; before?: string | undefined }) =>
  client.get<{ data: StoredMessage[] }>(`/chat/${at(id)}/history`, { query });

// Notifications.
export const notifications = (cursor?: string) =>
  client.get<{ data: Notification[]; next?: string }>('/notifications', { query: { cursor } });
export const readNotification = (id: string) => client.post<unknown>(`/notifications/${at(id)}/read`);

// Membership. The price is the host's.
export const createPayment = (membershipTier: Exclude<Tier, 'free'>) =>
  client.post<{ url: string; txnId: string }>('/payments/phonepe/create', { membershipTier });
export const confirmPayment = (txnId: string) =>
  client.post<{ message: string; user: OwnUser }>('/payments/phonepe/confirm', { txnId }, { patience: 40_000 });
