"""What people read: tables, drawings, progress, help."""
